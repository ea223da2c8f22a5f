"""Walking over a data set by Arrow tables of a few columns, and making one column anew. Nothing of what cells mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

BATCH_ROWS = 1000


def tables(rows: datasets.Dataset, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Tables of ``BATCH_ROWS`` rows, cut at the same rows however the data set is chunked."""
    if not columns:
        return
    arrow = rows.select_columns(list(columns)).with_format("arrow")
    for start in range(0, len(rows), BATCH_ROWS):
        yield arrow[start : start + BATCH_ROWS]


def with_column(rows: datasets.Dataset, name: str, change: Callable[[Any], Any], kind: pa.DataType) -> datasets.Dataset:
    """The data set with one column's cells changed. Only that column is held in memory; the others stay mapped."""
    import datasets
    import pyarrow as pa

    chunks = [pa.array([change(cell) for cell in table[name].to_pylist()], kind) for table in tables(rows, [name])]
    column = datasets.Dataset(datasets.table.InMemoryTable(pa.table({name: pa.chunked_array(chunks, kind)})))
    return datasets.concatenate_datasets([rows.remove_columns(name), column], axis=1)
