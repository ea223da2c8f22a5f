"""How often one example's attack may ask the model."""

from __future__ import annotations

from dataclasses import dataclass

from sixfold.errors import UsageError


@dataclass
class Budget:
    """Counts an example's queries, as the papers do.

    Every variant that is scored counts once, the text as it is included. A variant that was scored before counts
    again, although the scorer does not compute it again: TextAttack counts its cache's hits too
    (``goal_function.py``, 0.3.11), so that the numbers can be compared. Questions to a sentence encoder or a masked
    language model are none: they are not put to the model under attack.

    Attributes:
        most: queries that may be spent; None is no bound.
        spent: queries so far; never more than ``most``.
    """

    most: int | None = None
    spent: int = 0

    @property
    def over(self) -> bool:
        return self.most is not None and self.spent >= self.most

    def take(self, wanted: int) -> int:
        """How many of ``wanted`` queries may be asked; they are noted as spent."""
        allowed = wanted if self.most is None else min(wanted, self.most - self.spent)
        self.spent += allowed
        return allowed


def check_budget(most: int | None) -> None:
    """Refuse a budget that leaves nothing to ask.

    Raises:
        UsageError: it is less than 1.
    """
    if most is not None and most < 1:
        raise UsageError(
            "an attack needs a budget of at least 1 query an example: the text as it is counts as one",
            found=most,
            hint="give a larger one; the papers report 100, 500 and 2,000",
        )
