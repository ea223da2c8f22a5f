"""What a model answers in held-out conversations, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sixfold.data.partition import drawn
from sixfold.generate.requests import Engine, asked, whole
from sixfold.tasks.chat_template import ChatTemplate


def answered(
    engine: Engine, template: ChatTemplate, rows: Any, count: int, *, new_tokens: int, seed: int
) -> list[dict[str, Any]]:
    """Some conversations up to their last question, what stood there, and what the model answers (greedily)."""
    some = [_up_to_answer(messages, truth) for messages, truth in _given(rows, drawn(len(rows), count, seed))]
    requests = [asked(template, messages, new_tokens) for messages, _ in some]
    return [
        {
            "messages": [{"role": one["role"], "content": one["content"]} for one in messages],
            "truth": truth,
            "answer": text.text.strip(),
            "finish": text.finish,
        }
        for (messages, truth), text in zip(some, whole(engine, requests), strict=True)
    ]


def _given(rows: Any, places: Sequence[int]) -> list[tuple[list[dict[str, Any]], str | None]]:
    picked = rows.select(places)
    chosen = picked["chosen"][:] if "chosen" in picked.column_names else [None] * len(picked)
    return list(zip(picked["messages"][:], chosen, strict=True))


def _up_to_answer(messages: list[dict[str, Any]], truth: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """The conversation before its last answer, and that answer."""
    if truth is not None:
        return messages, truth
    last = max(place for place, one in enumerate(messages) if one["role"] == "assistant")
    return messages[:last], messages[last]["content"]
