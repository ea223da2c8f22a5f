"""The usable rows of one split of a source, for whoever asks a checkpoint about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sixfold.data import checking
from sixfold.data.columns import Column
from sixfold.data.sources import read as read_source
from sixfold.errors import unknown

if TYPE_CHECKING:
    import datasets


def one_split(
    source: Any,
    wanted: Sequence[Column],
    *,
    split: str | None,
    usual: Mapping[str, str],
    given: Mapping[str, str],
    encoding: str | None,
    allow: Collection[str],
) -> tuple[str, datasets.Dataset]:
    """Its name and its usable rows, columns named by their roles.

    Args:
        wanted: the columns that are read.
        split: ``test`` unless given, or the first where there is none.
        usual: role to column of the training rows.
        given: role to column, where the user says so.
        allow: what ``checking.check`` lets pass.

    Raises:
        DataError: the rows cannot be used.
        UsageError: there is no such split.
    """
    import datasets

    read = read_source(source, encoding=encoding)
    name = split or ("test" if "test" in read else next(iter(read)))
    if name not in read:
        raise unknown("split", name, list(read))
    rows = datasets.DatasetDict({name: read[name]})
    checked = checking.check(rows, wanted, {**present(usual, read[name].column_names, wanted), **given}, allow=allow)
    return name, checking.apply(rows, checked).rows[name]


def present(usual: Mapping[str, str], names: Collection[str], wanted: Sequence[Column]) -> dict[str, str]:
    """The training rows' columns as far as other rows have them; others are found by their usual names."""
    roles = {column.role for column in wanted}
    return {role: name for role, name in usual.items() if role in roles and name in names}
