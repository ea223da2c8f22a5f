"""Held-out conversations as an evaluation reads them: who speaks where, in which language, and how much of it fits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sixfold.tasks.chat_template import Message
from sixfold.tasks.contract import Rows
from sixfold.tasks.dialogue import in_rounds
from sixfold.text.language import language


@dataclass(frozen=True)
class Conversation:
    """A held-out conversation.

    Attributes:
        row: its place among the rows.
        tools: what the assistant may call, as JSON.
        language: of what is said in it.
        thread: what the user says first: conversations that begin alike are one, or parts of one.
    """

    row: int
    messages: Sequence[Message]
    tools: str | None
    language: str
    thread: str

    @property
    def answers(self) -> list[int]:
        """Places of the turns in which the assistant says something, after the user did."""
        first = next((place for place, one in enumerate(self.messages) if one["role"] == "user"), len(self.messages))
        return [place for place in range(first + 1, len(self.messages)) if speaks(self.messages[place], "assistant")]

    @property
    def last_question(self) -> int | None:
        """The place of the user's last turn."""
        asked = [place for place, one in enumerate(self.messages) if speaks(one, "user")]
        return asked[-1] if asked else None


def speaks(message: Message, role: str) -> bool:
    """Whether a message is words of that role, and no call of a tool."""
    return message["role"] == role and bool((message["content"] or "").strip()) and not message.get("tool_calls")


def read(rows: Rows) -> list[Conversation]:
    """All rows; ``tools`` may be left out."""
    tools = rows["tools"] if "tools" in rows.column_names else [None] * len(rows)
    found = []
    for row, (messages, offered) in enumerate(zip(rows["messages"], tools, strict=True)):
        said = [one["content"] or "" for one in messages if one["role"] in ("user", "assistant")]
        thread = next((one["content"] or "" for one in messages if one["role"] == "user"), "")
        found.append(Conversation(row, messages, offered, language(" ".join(said)), thread))
    return found


def independent(conversations: Iterable[Conversation]) -> list[Conversation]:
    """The first of all that begin alike."""
    first: dict[str, Conversation] = {}
    for one in conversations:
        first.setdefault(one.thread, one)
    return list(first.values())


def fitting(
    messages: Sequence[Message], size: Callable[[Sequence[Message]], int], limit: int
) -> Sequence[Message] | None:
    """The system prompt and as many last rounds as fit; None where not even the last one does.

    Args:
        size: tells the tokens of messages; more messages have more.
    """
    if size(messages) <= limit:
        return messages
    head, rounds = in_rounds(messages)

    def kept(start: int) -> list[Message]:
        return [*head, *(one for turns in rounds[start:] for one in turns)]

    start = bisect_left(range(len(rounds)), True, key=lambda start: size(kept(start)) <= limit)
    return kept(start) if start < len(rounds) else None
