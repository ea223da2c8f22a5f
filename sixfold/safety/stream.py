"""Masks a text, whole or as it comes: what patterns find is the same however the text is cut into chunks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sixfold.errors import UsageError
from sixfold.safety.entity import NAMES, Entity
from sixfold.safety.find import check_types, find, merged, wanted
from sixfold.safety.policy import Policy
from sixfold.safety.replacing import Replacer
from sixfold.safety.scan import BACK, LEAST, Scanner, folded, table
from sixfold.safety.sentences import sentences_in
from sixfold.safety.vault import Vault

if TYPE_CHECKING:
    from sixfold.safety.names import NameFinder


@dataclass(frozen=True)
class Masked:
    """A masked text, and what was found, with places in the text that was given."""

    text: str
    entities: tuple[Entity, ...]


def mask(
    text: str,
    policy: Policy | str = "label",
    *,
    key: bytes | None = None,
    vault: Vault | None = None,
    types: Collection[str] | None = None,
    names: NameFinder | None = None,
    least: float = LEAST,
) -> Masked:
    """Find personal data and put something else in its place.

    Args:
        policy: how; a word for all types, or a ``Policy``.
        key: of ``hash`` and ``pseudonym``.
        vault: keeps what was masked. The caller saves it.
        types, names, least: as ``find``.

    Raises:
        UsageError: an unknown policy or type, or a key that is missing.
    """
    replacer = Replacer(_policy(policy), key, vault)
    found = find(text, types=types, names=names, least=least)
    out: list[str] = []
    done = 0
    for one in found:
        out += (text[done : one.start], replacer.replaced(one, text[one.start : one.end]))
        done = one.end
    out.append(text[done:])
    return Masked("".join(out), tuple(found))


def _policy(given: Policy | str) -> Policy:
    return given if isinstance(given, Policy) else Policy.parsed([given])


class StreamMasker:
    """Masks a stream chunk by chunk.

    A chunk's text goes out as soon as it is settled: at once where nothing in it could be a part of an entity, and
    otherwise after the few hundred characters that decide. With ``names``, a sentence goes out when it is whole. No
    part of an entity ever goes out.

    Args:
        As ``mask``.

    Attributes:
        counts: entities by type so far.
    """

    def __init__(
        self,
        policy: Policy | str = "label",
        *,
        key: bytes | None = None,
        vault: Vault | None = None,
        types: Collection[str] | None = None,
        names: NameFinder | None = None,
        least: float = LEAST,
    ) -> None:
        check_types(types)
        self.counts: Counter[str] = Counter()
        self._replacer = Replacer(_policy(policy), key, vault)
        self._scanner = Scanner(table(None if types is None else frozenset(types)), least)
        self._types, self._least = types, least
        self._names = names if types is None or set(types) & set(NAMES) else None
        self._text = self._folded = ""
        self._half = ""
        self._done = 0
        self._found: list[Entity] = []
        self._closed = False

    def feed(self, chunk: str) -> str:
        """Take more text; gives what is settled now.

        Raises:
            UsageError: the stream was closed.
        """
        if self._closed:
            raise UsageError("the stream was closed already")
        chunk = self._half + chunk
        self._half = chunk[-1:] if "\ud800" <= chunk[-1:] <= "\udbff" else ""
        self._add(_joined(chunk[: len(chunk) - len(self._half)]))
        return self._advanced(final=False)

    def close(self) -> str:
        """The text ends here; gives the rest."""
        self._closed = True
        self._add(self._half)
        self._half = ""
        return self._advanced(final=True)

    def _add(self, chunk: str) -> None:
        self._text += chunk
        self._folded += folded(chunk)

    def _advanced(self, final: bool) -> str:
        self._found += self._scanner.entities(self._folded, final)
        end = self._scanner.place
        entities = self._found
        if self._names is not None:
            end, entities = self._with_names(self._names, final)
        out = []
        for one in entities:
            out.append(self._text[self._done : one.start])
            self._done = one.end
            if not one.goes_on:
                out.append(self._replacer.replaced(one, self._text[one.start : one.end]))
                self.counts[one.type] += 1
        out.append(self._text[self._done : end])
        self._found = [one for one in self._found if one.start >= end]
        self._done = end
        self._forget(end - BACK)
        return "".join(out)

    def _with_names(self, names: NameFinder, final: bool) -> tuple[int, list[Entity]]:
        """How far sentences are whole, and all entities up to there."""
        settled = self._scanner.place
        spans = sentences_in(self._text, self._done, settled, final=final)
        end = settled if final else (spans[-1].end if spans else self._done)
        for one in self._found:
            if one.start < end < one.end:
                end = one.end
        inside = [one for one in self._found if one.end <= end]
        found = wanted(names.entities(self._text, spans), self._types, self._least)
        return end, merged(inside, found)

    def _forget(self, count: int) -> None:
        """Drop text that nothing depends on any more."""
        if count > 0:
            self._text, self._folded = self._text[count:], self._folded[count:]
            self._done -= count
            self._scanner.forget(count)
            self._found = [replace(one, start=one.start - count, end=one.end - count) for one in self._found]


_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def _joined(text: str) -> str:
    """The text with two halves of a character as the character; a half that is alone stays."""
    if text.isascii() or not _PAIR.search(text):
        return text
    return _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
