"""What a task needs from a row: columns by role, and what may stand in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "label", "labels", "words", "tags", "number", "messages", "spans"]
"""What a cell holds.

    text      a string
    label     one class name (a string, or an integer that is read as its decimal string)
    labels    several class names: a list of strings
    words     a list of strings (words, or characters)
    tags      a list of strings as long as the words of the same row
    number    an integer or a float
    messages  a list of {"role": ..., "content": ...}
    spans     a list of {"start": ..., "end": ..., "label": ...}: character offsets into the text, end excluded
"""


@dataclass(frozen=True)
class Column:
    """One column that a task reads.

    Attributes:
        role: the task's name for it (``text``, ``label`` ...). A recipe's ``columns:`` maps roles to a file's names.
        kind: what a cell holds.
        required: whether training needs it. (Prediction needs only the inputs.)
        target: whether it is what the model learns to give, rather than what it is given.
        names: usual names of such a column in people's files, the likeliest first; used to guess.
        help: one line for a person.
    """

    role: str
    kind: Kind
    required: bool = True
    target: bool = False
    names: tuple[str, ...] = ()
    help: str = ""
