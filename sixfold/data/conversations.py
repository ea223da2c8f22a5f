"""Conversations in every usual shape, made into one: messages with a role and a content each.

    messages     {"messages": [{"role": "user", "content": ...}, ...], "tools": [...]}       OpenAI
    turns        {"conversations": [{"from": "human", "value": ...}, ...]}                   ShareGPT
    instruction  {"instruction", "input", "output", "history": [[question, answer], ...]}    Alpaca
    log          {"log": [{"text": ...}, ...]} or {"messages": [{"role": "usr", ...}, ...]}  MultiWOZ, CrossWOZ
    lines        a list of strings, user and assistant in turn                               chatterbot
    pairs        any of these with "chosen" and "rejected"; or two strings "\\n\\nHuman: ..."  preferences

A row of another shape is left as it is: ``check`` then says which column is missing. Nothing is repaired here: a role
that nobody knows, an empty turn and a turn out of order stay, so that they are told with their line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Message = dict[str, str | None]

VERSION = 1
"""Part of every cache key: raise it when rows become other conversations."""
THREAD = "thread"
"""The column that keeps conversations with one beginning in one split."""
_TURNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "log")
_ROLE = ("role", "from", "speaker")
_CONTENT = ("content", "value", "text", "utterance")
_ROLES = {
    **dict.fromkeys(("human", "usr", "customer", "prompter", "client"), "user"),
    **dict.fromkeys(("gpt", "bot", "sys", "chatgpt", "model", "agent"), "assistant"),
    **dict.fromkeys(("observation", "function", "function_response", "ipython"), "tool"),
}
"""Other words for a role. ``sys`` is the answering side of MultiWOZ and CrossWOZ, not a system prompt."""
_CALL = "function_call"
_SPEAKERS = ("user", "assistant")
_HUMAN = re.compile(r"\n\n(Human|Assistant):")
_PROMPTS = ("prompt", "question", "query", "instruction")


def unified(row: Row) -> Row:
    """The row with ``messages``, and ``chosen`` and ``rejected`` where it has them; any other row unchanged."""
    found = _messages(row)
    pair = _pair(row, found)
    if pair is not None:
        prompt, chosen, rejected = pair
        made: Row = {"messages": prompt, "chosen": chosen, "rejected": rejected}
    elif found is not None:
        made = {"messages": found}
    else:
        return row
    made["tools"] = _as_json(row.get("tools"))
    made[THREAD] = _thread(made["messages"])
    kept = {key: value for key, value in row.items() if key.startswith("__") or key in ("id", "topic", "source")}
    return {**kept, **made}


def message(role: str | None, content: Any, calls: Any = None) -> Message:
    """One message in the one form that all rows have."""
    return {"role": role, "content": _as_content(content), "tool_calls": _as_json(calls)}


def _messages(row: Row) -> list[Message] | None:
    for name in _TURNS:
        turns = row.get(name)
        if isinstance(turns, list) and turns:
            found = _lines(turns) if all(isinstance(one, str) for one in turns) else _turns(turns)
            if found is not None:
                return _with_system(row, found)
    if isinstance(row.get("instruction"), str) and "output" in row:
        return _instruction(row)
    return None


def _with_system(row: Row, messages: list[Message]) -> list[Message]:
    system = row.get("system") or row.get("system_prompt")
    if isinstance(system, str) and system.strip() and messages[0]["role"] != "system":
        return [message("system", system), *messages]
    return messages


def _lines(lines: Sequence[str]) -> list[Message]:
    return [message(_SPEAKERS[place % 2], line) for place, line in enumerate(lines)]


def _turns(turns: Sequence[Any]) -> list[Message] | None:
    if not all(isinstance(one, Mapping) for one in turns):
        return None
    named = any(one.get(key) is not None for one in turns for key in _ROLE)
    return [_turn(one, None if named else _SPEAKERS[place % 2]) for place, one in enumerate(turns)]


def _turn(turn: Mapping[str, Any], role: str | None) -> Message:
    told = next((turn[key] for key in _ROLE if turn.get(key) is not None), role)
    content = next((turn[key] for key in _CONTENT if turn.get(key) is not None), None)
    name = str(told).strip().lower() if told is not None else None
    if name == _CALL:
        call = _parsed(content)
        if isinstance(call, dict) and "name" in call:
            return message("assistant", "", [{"type": "function", "function": call}])
        return message("assistant", content)
    return message(_ROLES.get(name, name) if name is not None else None, content, turn.get("tool_calls"))


def _instruction(row: Row) -> list[Message]:
    history = [pair for pair in row.get("history") or [] if isinstance(pair, list | tuple) and len(pair) == 2]
    turns = [text for pair in history for text in pair]
    more = row.get("input")
    question = f"{row['instruction']}\n{more}" if isinstance(more, str) and more.strip() else row["instruction"]
    messages = _lines([*turns, question])
    if isinstance(row["output"], str):
        messages.append(message("assistant", row["output"]))
    return _with_system(row, messages)


def _pair(row: Row, found: list[Message] | None) -> tuple[list[Message], str | None, str | None] | None:
    """The prompt and two answers to it."""
    output = row.get("output")
    if found is not None and isinstance(output, list) and len(output) == 2:
        return found, _as_content(output[0]), _as_content(output[1])
    if "chosen" not in row or "rejected" not in row:
        return None
    sides = [_answered(row[name]) for name in ("chosen", "rejected")]
    if found is None:
        prompt = next((row[name] for name in _PROMPTS if row.get(name)), None)
        if isinstance(prompt, str):
            found = _with_system(row, [message("user", prompt)])
        elif isinstance(prompt, list):
            found = _turns(prompt)
    if found is not None:
        return found, *(one[-1]["content"] if one else None for one in sides)  # type: ignore[return-value]
    if not all(sides):
        return None
    first, second = sides
    same = 0
    while same < min(len(first), len(second)) - 1 and first[same] == second[same]:
        same += 1
    return first[:same], *(_rest(one[same:]) for one in sides)  # type: ignore[return-value]


def _rest(messages: Sequence[Message]) -> str | None:
    """What follows the shared beginning: one answer; what comes after it belongs to neither side's comparison."""
    return messages[0]["content"] if messages and messages[0]["role"] == "assistant" else None


def _answered(cell: Any) -> list[Message]:
    """An answer, or a conversation that ends with one."""
    if isinstance(cell, Mapping):
        return [_turn(cell, "assistant")]
    if isinstance(cell, list):
        return _turns(cell) or []
    if isinstance(cell, str) and _HUMAN.match(cell):
        parts = _HUMAN.split(cell)[1:]
        speakers = ("user" if name == "Human" else "assistant" for name in parts[::2])
        return [message(role, text.strip()) for role, text in zip(speakers, parts[1::2], strict=True)]
    return [message("assistant", cell)]


def _thread(messages: Sequence[Message]) -> str:
    """What the user says first: rows that begin so are one conversation, or parts of it."""
    first = next((one["content"] for one in messages if one["role"] == "user"), None)
    return first or ""


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _as_content(content: Any) -> str | None:
    """Parts of text in a list are joined; anything else that is no string stays visible as JSON."""
    if isinstance(content, list) and all(isinstance(one, Mapping) and one.get("type") == "text" for one in content):
        return "".join(str(one.get("text", "")) for one in content)
    return content if content is None or isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _as_json(value: Any) -> str | None:
    if value is None or value == "" or value == []:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
