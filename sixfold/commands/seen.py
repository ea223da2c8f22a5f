"""``sixfold check --task dialogue --base MODEL``: a conversation as the model will see it, and what is cut."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from sixfold import data
from sixfold.commands.predict import checkpoint_of
from sixfold.models.tokenizer import lone_tokenizer
from sixfold.tasks.chat_template import ChatTemplate
from sixfold.tasks.dialogue import Dialogue, prove_rows, written

LEARNT = "bold green"
GIVEN = "dim"


def show_seen(
    source: Any,
    base: str,
    *,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    console: Console,
) -> None:
    """Print the first usable conversation with the learnt tokens in colour, the proof of the masks, and the cuts.

    Raises:
        ModelError: the base has no template, or one whose masks cannot be proved.
    """
    tokenizer = lone_tokenizer(checkpoint_of(Path(base)))
    template = ChatTemplate(tokenizer)
    task = Dialogue()
    rows = data.read(source, encoding=encoding, talk=True)
    usable = data.apply(rows, data.check(rows, task.columns, columns, allow=["overlaps"]), on_bad="drop").rows
    first = next(iter(usable.values()))
    console.print(Text(f"a conversation as {base} sees it; what is learnt in green:"))
    tools = first["tools"][0] if "tools" in first.column_names else None
    console.print(shown(template, first["messages"][0], tools), soft_wrap=True)
    console.print(Text(prove_rows(template, first).told()))
    for split, part in usable.items():
        cut = task.encode(part, tokenizer, int(tokenizer.model_max_length), "window").cut
        console.print(cut.told(split))


def shown(template: ChatTemplate, messages: Any, tools: str | None = None) -> Text:
    """The conversation's text, learnt tokens in colour."""
    made = written(template, messages, tools)
    text = Text()
    start = 0
    while start < len(made):
        end = start
        while end < len(made) and made.learnt[end] == made.learnt[start]:
            end += 1
        piece = template.tokenizer.decode(made.ids[start:end])
        text.append(piece, style=LEARNT if made.learnt[start] else GIVEN)
        start = end
    return text
