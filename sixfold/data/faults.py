"""What is wrong with a file while it is read: lines are counted by kind of fault and told all at once."""

from __future__ import annotations

from sixfold.errors import Problems

SHOWN = 5


class Faults:
    """The faults of one file.

    Args:
        where: the file, as problems are told with.
        patient: collect every fault until ``tell``; otherwise the first one raises (rows go out as they come).
    """

    def __init__(self, where: object, *, patient: bool = True) -> None:
        self.where = where
        self.patient = patient
        self.notes: list[str] = []
        self._lines: dict[tuple[str, str], list[int]] = {}
        self._counts: dict[tuple[str, str], int] = {}

    def add(self, line: int, what: str, remedy: str = "") -> None:
        """One line has a fault. The words in ``what`` name its kind: lines with the same words are told together."""
        kind = (what, remedy)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        lines = self._lines.setdefault(kind, [])
        if len(lines) < SHOWN:
            lines.append(line)
        if not self.patient:
            self.tell()

    def note(self, sentence: str) -> None:
        """Something that was decided or left out, for the user to know."""
        self.notes.append(f"{self.where}: {sentence}")

    def tell(self) -> None:
        """Raise one DataError with all faults, if there are any."""
        problems = Problems()
        for (what, remedy), count in self._counts.items():
            places = [f"{self.where}:{line}" for line in self._lines[what, remedy]]
            problems.add("error", what, count=count, where=places, remedy=remedy)
        problems.raise_errors(where=self.where)
