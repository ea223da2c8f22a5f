"""Conversations of every usual shape come to the same messages."""
# ruff: noqa: E501

import json

import pytest

from sixfold import data
from sixfold.data.cells import BadCellError
from sixfold.data.cells import read as cell
from sixfold.data.conversations import THREAD, unified
from sixfold.errors import DataError
from sixfold.tasks.dialogue import Dialogue

WANTED = [("user", "Hi"), ("assistant", "Hello"), ("user", "And?"), ("assistant", "Bye")]


def turns(row):
    return [(one["role"], one["content"]) for one in row["messages"]]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": role, "content": text} for role, text in WANTED]},
        {"messages": [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in WANTED]},
        {
            "conversations": [
                {"from": {"user": "human", "assistant": "gpt"}[role], "value": text} for role, text in WANTED
            ]
        },
        {"instruction": "And?", "input": "", "output": "Bye", "history": [["Hi", "Hello"]]},
        {"log": [{"text": text, "dialog_act": {}} for _, text in WANTED]},
        {"messages": [{"role": {"user": "usr", "assistant": "sys"}[role], "content": text} for role, text in WANTED]},
        {"conversation": [text for _, text in WANTED]},
    ],
    ids=["openai", "openai parts", "sharegpt", "alpaca", "multiwoz", "crosswoz", "lines"],
)
def test_every_shape_gives_the_same_messages(row):
    found = unified(row)
    assert turns(found) == WANTED
    assert found[THREAD] == "Hi"


def test_system_prompts_and_inputs_are_kept():
    found = unified({"instruction": "Sum up", "input": "a text", "output": "short", "system": "Be brief."})
    assert turns(found) == [("system", "Be brief."), ("user", "Sum up\na text"), ("assistant", "short")]
    assert turns(unified({"system": "Be kind.", "conversations": [{"from": "human", "value": "Hi"}]}))[0][0] == "system"


def test_tool_calls_are_kept():
    call = json.dumps({"name": "look", "arguments": {"city": "Bath"}})
    rows = [("human", "Weather?"), ("function_call", call), ("observation", "rain"), ("gpt", "It rains.")]
    found = unified(
        {"conversations": [{"from": name, "value": text} for name, text in rows], "tools": '[{"name": "look"}]'}
    )
    assert [one["role"] for one in found["messages"]] == ["user", "assistant", "tool", "assistant"]
    (made,) = json.loads(found["messages"][1]["tool_calls"])
    assert made["function"] == {"name": "look", "arguments": {"city": "Bath"}}
    assert found["tools"] == '[{"name": "look"}]'


HUMAN = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: And?\n\nAssistant: "


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": HUMAN + "good", "rejected": HUMAN + "bad"},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}, {"from": "human", "value": "And?"}],
         "chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"}},
        {"instruction": "And?", "input": "", "history": [["Hi", "Hello"]], "output": ["good", "bad"]},
        {"prompt": [{"role": role, "content": text} for role, text in WANTED[:3]], "chosen": "good", "rejected": "bad"},
    ],
    ids=["hh", "sharegpt", "alpaca", "prompt"],
)  # fmt: skip
def test_pairs_of_every_shape(row):
    found = unified(row)
    assert turns(found) == WANTED[:3]
    assert (found["chosen"], found["rejected"]) == ("good", "bad")


def test_pairs_that_part_earlier_are_compared_where_they_part():
    first = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: And?\n\nAssistant: good"
    second = "\n\nHuman: Hi\n\nAssistant: Go away"
    found = unified({"chosen": first, "rejected": second})
    assert turns(found) == [("user", "Hi")]
    assert (found["chosen"], found["rejected"]) == ("Hello", "Go away")


def test_a_row_that_is_no_conversation_is_left_alone():
    assert unified({"text": "a", "label": "b"}) == {"text": "a", "label": "b"}


def test_files_are_read_with_the_line_of_each_conversation(tmp_path):
    (tmp_path / "one.yml").write_text("categories:\n- food\nconversations:\n- - Hi\n  - Hello\n- - And?\n  - Bye\n")
    (tmp_path / "two.json").write_text(
        json.dumps(
            {"A1": {"log": [{"text": "Hi"}, {"text": "Hello"}]}, "A2": {"log": [{"text": "x"}, {"text": "y"}]}},
            indent=1,
        )
    )
    yml = data.read(str(tmp_path / "one.yml"), talk=True)["train"]
    assert [turns(row) for row in yml] == [
        [("user", "Hi"), ("assistant", "Hello")],
        [("user", "And?"), ("assistant", "Bye")],
    ]
    assert yml["__line__"][:] == [4, 6]
    made = data.read(str(tmp_path / "two.json"), talk=True)["train"]
    assert turns(made[0]) == [("user", "Hi"), ("assistant", "Hello")]
    assert made["id"][:] == ["A1", "A2"]


@pytest.mark.parametrize("content", ["- 1\n- 2\n", "a: b\n", "conversations: [[a, b], {c: d}\n", ""])
def test_yaml_that_holds_no_conversations_is_told(tmp_path, content):
    (tmp_path / "bad.yml").write_text(content)
    with pytest.raises(DataError):
        data.read(str(tmp_path / "bad.yml"), talk=True)


def message(role, content, **more):
    return {"role": role, "content": content, "tool_calls": None, **more}


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([message("assistant", "Hello")], "begins with the assistant"),
        ([message("user", "Hi"), message("user", "Hello?")], "two user turns in a row"),
        ([message("user", "Hi"), message("assistant", "A"), message("assistant", "B")], "two assistant turns in a row"),
        ([message("user", "Hi"), message("assistant", " ")], "empty assistant message"),
        ([message("user", "Hi"), message("assistant", None)], "without content"),
        ([message("user", "Hi"), message("wizard", "Hello")], "role is not one of"),
        ([message("user", "Hi"), message("system", "Be kind.")], "system message that is not the first"),
        ([message("system", "Be kind.")], "nothing but a system message"),
        ([message("user", "Hi"), message("tool", "42")], "no assistant asked for"),
        ([], "not a list of messages"),
    ],
)
def test_turns_out_of_order_are_told(messages, what):
    with pytest.raises(BadCellError, match=what):
        cell("messages", messages)


def test_a_check_tells_every_bad_conversation_with_its_line(tmp_path):
    lines = [
        {"messages": [message("user", "Hi"), message("assistant", "Hello")]},
        {"messages": [message("user", "Hi"), message("user", "again")]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": None}]},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "oracle", "value": "Yes"}]},
    ]
    (tmp_path / "talk.jsonl").write_text("\n".join(json.dumps(one) for one in lines))
    rows = data.read(str(tmp_path / "talk.jsonl"), talk=True)
    found = data.check(rows, Dialogue().columns)
    told = {problem.what: problem.where for problem in found.errors}
    assert next(place for what, place in told.items() if "two user turns" in what)[0].endswith("talk.jsonl:2")
    assert next(place for what, place in told.items() if "without content" in what)[0].endswith("talk.jsonl:3")
    assert next(place for what, place in told.items() if "role is not one of" in what)[0].endswith("talk.jsonl:4")
    assert len(data.apply(rows, found, on_bad="drop").rows["train"]) == 1


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ({"meta": {"made": "by hand"}, "data": [{"text": "x"}, {"text": "y"}]}, ["x", "y"]),
        ({"a": {"text": "x"}, "b": {"text": "y"}}, ["x", "y"]),
        ({"a": {"text": "x"}}, ["x"]),
    ],
)
def test_an_object_of_objects_is_told_from_one_with_data(tmp_path, content, texts):
    (tmp_path / "rows.json").write_text(json.dumps(content, indent=1))
    assert data.read(str(tmp_path / "rows.json"))["train"]["text"][:] == texts
