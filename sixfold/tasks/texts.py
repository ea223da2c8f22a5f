"""Rows that are lists already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Texts:
    """What a task asks of rows (``contract.Rows``), without a table."""

    columns: Mapping[str, list[Any]]

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, column: str, /) -> list[Any]:
        return self.columns[column]
