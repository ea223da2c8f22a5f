"""YAML: a list of objects, or chatterbot's ``{categories: [...], conversations: [[question, answer, ...], ...]}``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sixfold.data import files
from sixfold.data.faults import Faults
from sixfold.data.files import File
from sixfold.errors import DataError

MAX_CHARACTERS = 1 << 26
"""YAML is read whole, and takes some hundred times its size in memory."""
_REMEDY = "write a list of objects, or conversations: [[question, answer], ...]"


def yaml_rows(source: File, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of the list; of chatterbot's form, a row with ``conversation`` and ``topic`` for each.

    Raises:
        DataError: it is no YAML, too large, or holds neither.
    """
    import yaml

    with files.text(source) as stream:
        text = stream.read(MAX_CHARACTERS + 1)
    if len(text) > MAX_CHARACTERS:
        raise DataError(
            f"a YAML file may have {MAX_CHARACTERS:,} characters", where=source, hint="write it as JSON lines"
        )
    try:
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        loader = yaml.SafeLoader("")
        content = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError("the file is not valid YAML", where=source, found=str(error).split("\n")[0]) from None
    items, topic = content, None
    if isinstance(content, dict):
        topic = ", ".join(map(str, content.get("categories") or [])) or None
        items = content.get("conversations") or content.get("data")
        inner = {key.value: value for key, value in node.value}
        node = inner.get("conversations") or inner.get("data")
    if not isinstance(items, list):
        raise DataError("the file holds neither a list nor conversations", where=source, hint=_REMEDY)
    for part, item in zip(node.value, items, strict=True):
        line = part.start_mark.line + 1
        if isinstance(item, dict):
            yield line, item
        elif isinstance(item, list):
            yield line, {"conversation": [None if one is None else str(one) for one in item], "topic": topic}
        else:
            faults.add(line, "an entry of the list is neither an object nor a conversation", _REMEDY)
