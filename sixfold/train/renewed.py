"""Examples that are made anew for each epoch and learnt beside those given: adversarial ones, augmented ones.

Whoever makes them says how many an epoch gets at most, so that the steps of a run, and with them its schedule, are
known before it begins. Where fewer are made, given examples stand in for those that are missing, drawn by the seed: a
step keeps its size, and a run that makes none is the fair comparison for one that does.

What was made for an epoch is kept beside the states, so that a run that is resumed inside the epoch goes on with the
same examples, whatever making them again would give.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from torch import nn

from sixfold.data.examples import Examples
from sixfold.errors import ModelError
from sixfold.fetch.folders import replacing
from sixfold.train import state as states


class Renew(Protocol):
    """Makes further examples for an epoch.

    A state is saved before it is called, so it may raise (``Interrupted``, say) to end the run.
    """

    @property
    def per_epoch(self) -> int:
        """How many an epoch gets at most; the same for every epoch."""
        ...

    def __call__(self, epoch: int, model: nn.Module) -> Examples:
        """Examples with the columns of those given, at most ``per_epoch``.

        Args:
            epoch: counted from 0.
            model: as it is now, in evaluation mode. It may be differentiated.
        """
        ...


class RenewedExamples:
    """The examples of each epoch: those given, and those made for it.

    Args:
        given: what every epoch learns from.
        folder: of the states; None keeps what was made in memory only.
    """

    def __init__(self, given: Examples, renew: Renew, *, seed: int, folder: Path | None) -> None:
        assert len(given)
        self.given = given
        self.renew = renew
        self.seed = seed
        self.folder = folder
        self._made: tuple[int, Examples] | None = None

    @property
    def per_epoch(self) -> int:
        return len(self.given) + self.renew.per_epoch

    def begin(self, position: tuple[int, int] | None) -> None:
        """Look for what an earlier process made.

        Args:
            position: epoch and step in it from which the run is resumed; None where it starts anew.

        Raises:
            ModelError: the run was stopped inside the epoch, and what was made for it is gone or cannot be read.
        """
        if self.folder is None:
            return
        if position is None:
            states.clear_made(self.folder)
            return
        epoch, step = position
        place = states.made_folder(self.folder, epoch)
        if not place.exists() and not step:
            return
        try:
            self._made = epoch, Examples.load(place)
        except (OSError, EOFError, ValueError, KeyError) as error:
            raise ModelError(
                f"what was made for epoch {epoch + 1} cannot be read: {error}",
                where=place,
                hint=f"remove {self.folder} to start this stage again",
            ) from error

    def has(self, epoch: int) -> bool:
        """Whether the epoch's examples have been made."""
        return self._made is not None and self._made[0] == epoch

    def make(self, epoch: int, model: nn.Module) -> int:
        """Make an epoch's examples and keep them; tells how many.

        Raises:
            StorageError: they could not be written.
        """
        made = self.renew(epoch, model)
        assert len(made) <= self.renew.per_epoch, f"{len(made)} examples made, {self.renew.per_epoch} announced"
        if self.folder is not None:
            place = states.made_folder(self.folder, epoch)
            with replacing(place) as work:
                made.save(work)
            states.clear_made(self.folder, but=place)
        self._made = epoch, made
        return len(made)

    def examples(self, epoch: int) -> Examples:
        """Given, made, and given ones again in place of those that are missing."""
        assert self._made is not None
        assert self._made[0] == epoch
        made = self._made[1]
        missing = self.renew.per_epoch - len(made)
        order = np.random.default_rng((self.seed, epoch, *b"again")).permutation(len(self.given))
        return Examples.joined([self.given, made, self.given.take(np.resize(order, missing))])
