"""The chat: history, commands, what no longer fits, what an interruption leaves."""

import io
import json

import pytest
from chat_templates import tokenizer
from rich.console import Console
from test_tasks_dialogue import tiny

from sixfold.commands.chat import Chat, talk
from sixfold.errors import UsageError
from sixfold.generate.requests import Sampling
from sixfold.generate.torch_engine import TorchEngine
from sixfold.tasks.chat_template import ChatTemplate


@pytest.fixture
def chat():
    found = tokenizer(limit=400)
    model = tiny(len(found))
    return Chat(TorchEngine(model, found), ChatTemplate(found), 400, Sampling(temperature=1.0, seed=1), new_tokens=20)


def said(chat, *lines):
    """What stands on the screen when these are typed."""
    screen = io.StringIO()
    typed = iter(lines)

    def read(prompt):
        try:
            line = next(typed)
        except StopIteration:
            raise EOFError from None
        if line is KeyboardInterrupt:
            raise KeyboardInterrupt
        return line

    talk(chat, Console(file=screen, width=200), read)
    return screen.getvalue()


def roles(chat):
    return [one["role"] for one in chat.messages]


def test_a_conversation_is_kept_and_each_answer_is_what_the_engine_writes(chat):
    said(chat, "Hello", "And?")
    assert roles(chat) in (["user", "assistant"] * 2, ["user", "assistant", "user"], ["user", "assistant"])
    assert chat.last.tokens > 0
    assert "tokens" in chat.last.told()


def test_reset_system_and_help(chat):
    screen = said(chat, "/system Be kind.", "Hello", "/reset", "/help")
    assert roles(chat) == ["system"]
    assert "/retry" in screen
    said(chat, "/system")
    assert chat.messages == []


def test_retry_asks_again_with_other_numbers(chat):
    list(chat.say("Hello"))
    first = chat.messages[-1]["content"]
    list(chat.retry())
    assert roles(chat) == ["user", "assistant"]
    assert chat.messages[-1]["content"] != first
    chat.reset()
    with pytest.raises(UsageError, match="no question"):
        list(chat.retry())


def test_a_saved_conversation_can_be_learnt_from(chat, tmp_path):
    said(chat, "Hello", f"/save {tmp_path / 'talk.jsonl'}")
    (row,) = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text().splitlines()]
    assert row["messages"][0] == {"role": "user", "content": "Hello"}
    from sixfold import data

    assert len(data.read(str(tmp_path / "talk.jsonl"), talk=True)["train"]) == 1


def test_an_unknown_command_and_a_missing_file_are_told(chat):
    assert "did you mean: /reset" in said(chat, "/rest")
    assert "/save needs a file" in said(chat, "/save")


def test_what_no_longer_fits_is_left_out_and_told(chat):
    chat.instruct("Be kind.")
    for number in range(12):
        chat.messages += [
            {"role": "user", "content": f"question {number}", "tool_calls": None},
            {"role": "assistant", "content": f"answer {number}", "tool_calls": None},
        ]
    screen = said(chat, "And now?")
    assert chat.dropped > 0
    assert f"the oldest {chat.dropped} rounds no longer fit" in screen
    assert chat.messages[0]["role"] == "system"


def test_a_question_longer_than_the_context_is_refused_and_forgotten(chat):
    assert "longer than the model reads" in said(chat, "x" * 500)
    assert chat.messages == []


def test_ctrl_c_stops_an_answer_and_keeps_what_was_said(chat, monkeypatch):
    pieces = chat.say("Hello")
    shown = ""
    while not shown.strip():
        shown += next(pieces)
    pieces.close()
    assert chat.last.finish == "cancelled"
    assert chat.messages[-1]["role"] == "assistant"
    assert chat.messages[-1]["content"].startswith(shown.strip()[:1]) or shown in chat.messages[-1]["content"]
    list(chat.say("Again"))
    assert roles(chat)[:3] == ["user", "assistant", "user"]


def test_ctrl_c_at_the_prompt_leaves(chat):
    assert said(chat, KeyboardInterrupt, "never read").count("never read") == 0
