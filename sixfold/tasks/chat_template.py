"""A tokenizer's chat template taken apart: which tokens of a conversation are structure, content, and to be learnt.

A template is a program, so nothing is assumed of it: it is run with marks in place of the contents, and once more for
each assistant turn with the generation prompt. What stands after that prompt, up to the token that ends the turn, is
what the model has to say itself, and is learnt; everything else is given to it, and is not. Where that cannot be told,
the template is refused with the reason, before anything is trained.

Contents are encoded on their own and never as special tokens: what a user writes cannot end a turn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sixfold.data.conversations import message
from sixfold.errors import DataError, ModelError

Message = Mapping[str, Any]
PLAIN = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token + '\n' }}"
    "{% else %}{{ 'User: ' + message['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)
"""For a tokenizer that knows no special token but the end of a text."""
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {"plain": PLAIN, "chatml": CHATML}
_DATE = "26 Jul 2024"
"""Templates of Llama write a date: this one, or the same conversation would give other tokens every day."""
_PROVED = 16
"""Assistant turns of one conversation whose generation prompts are held against it, from both of its ends."""


@dataclass(frozen=True)
class Segment:
    """Some tokens of a conversation.

    Attributes:
        ids: of the template's own text; empty where ``content`` says whose content stands here.
        content: the number of a message.
        learnt: whether the model has to say it.
    """

    ids: tuple[int, ...] = ()
    content: int | None = None
    learnt: bool = False


@dataclass(frozen=True)
class Shape:
    """A conversation without its contents.

    Attributes:
        segments: in order.
        stops: tokens that end an assistant's turn.
        left, right: the template takes blanks off the contents there.
    """

    segments: tuple[Segment, ...]
    stops: frozenset[int]
    left: bool
    right: bool

    @property
    def overhead(self) -> int:
        """Tokens besides the contents'."""
        return sum(len(one.ids) for one in self.segments)


@dataclass
class ChatTemplate:
    """A tokenizer's template.

    Raises:
        ModelError: the tokenizer has none, or no token that ends a text.
    """

    tokenizer: Any
    _shapes: dict[Any, Shape] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.tokenizer.chat_template:
            raise ModelError(
                "the tokenizer has no chat template, so nothing says how a conversation is written down",
                hint=f"set template: {' or '.join(TEMPLATES)}",
            )
        if self.tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer has no token that ends a text: an answer could never stop")
        special = self.tokenizer.added_tokens_decoder.items()
        self._special = {number: one.content for number, one in special if one.special}

    def text(self, messages: Sequence[Message], *, prompt: bool = False, tools: str | None = None) -> str:
        """What the template writes.

        Args:
            prompt: with the beginning of the assistant's next turn.

        Raises:
            DataError: it refuses the messages (a role it does not know, an order it does not allow).
        """
        from jinja2 import TemplateError

        given = [_plain(one) for one in messages]
        try:
            return self.tokenizer.apply_chat_template(
                given,
                tokenize=False,
                add_generation_prompt=prompt,
                tools=json.loads(tools) if tools else None,
                date_string=_DATE,
            )
        except (TemplateError, KeyError, TypeError, ValueError, IndexError) as error:
            roles = ", ".join(str(one["role"]) for one in given[:8])
            raise DataError("the chat template refuses a conversation", where=f"roles {roles}", found=error) from error

    def shape(self, messages: Sequence[Message], tools: str | None = None) -> Shape:
        """The shape of a conversation; conversations with the same roles share one.

        Raises:
            DataError: as ``text``.
            ModelError: the template leaves out or repeats a content, has no generation prompt, begins an assistant's
                turn otherwise than the generation prompt does, or writes no token that ends it.
        """
        key = (tools, tuple((one["role"], one.get("tool_calls")) for one in messages))
        if key not in self._shapes:
            self._shapes[key] = self._taken_apart(messages, tools)
        return self._shapes[key]

    def prompt(self, messages: Sequence[Message], tools: str | None = None) -> list[int]:
        """Token ids of a conversation that the assistant is to go on with: exactly those that it was trained after.

        Raises:
            As ``shape``.
        """
        shape = self.shape([*messages, message("assistant", "")], tools)
        contents = self.contents([one["content"] or "" for one in messages], shape)
        out: list[int] = []
        last = len(messages)
        for segment in self._given(shape, last):
            out += segment.ids if segment.content is None else contents[segment.content]
        return out

    def _given(self, shape: Shape, last: int) -> list[Segment]:
        """The segments before the last turn's own words."""
        place = next(place for place, one in enumerate(shape.segments) if one.content == last)
        while place and shape.segments[place - 1].learnt:
            place -= 1
        return list(shape.segments[:place])

    def contents(self, texts: Sequence[str], shape: Shape | None = None) -> list[list[int]]:
        """Token ids of contents, none of them special."""
        if shape is not None:
            texts = [self.trimmed(text, shape) for text in texts]
        if not texts:
            return []
        found = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)
        return found["input_ids"]

    @staticmethod
    def trimmed(text: str, shape: Shape) -> str:
        text = text.lstrip() if shape.left else text
        return text.rstrip() if shape.right else text

    def _taken_apart(self, messages: Sequence[Message], tools: str | None) -> Shape:
        marks = [f"sixfold{number}mark" for number in range(len(messages))]
        bare = [{**one, "content": mark} for one, mark in zip(messages, marks, strict=True)]
        whole = self.text(bare, tools=tools)
        places = self._places(whole, marks, messages)
        left, right = self._trims(messages[:1], tools)
        spans = self._spans(whole, bare, marks, places, tools)
        segments: list[Segment] = []
        stops: set[int] = set()
        done = 0
        for number, place in enumerate(places):
            if number in spans:
                segments += self._encoded(whole[done : spans[number]], learnt=False)
                segments += self._encoded(whole[spans[number] : place], learnt=True)
                segments.append(Segment(content=number, learnt=True))
                after = place + len(marks[number])
                end = places[number + 1] if number + 1 < len(places) else len(whole)
                tail, stop = self._ending(whole[after:end])
                segments += self._encoded(tail, learnt=True)
                stops.add(stop)
                done = after + len(tail)
            else:
                segments += self._encoded(whole[done:place], learnt=False)
                segments.append(Segment(content=number))
                done = place + len(marks[number])
        segments += self._encoded(whole[done:], learnt=False)
        return Shape(tuple(segments), frozenset(stops), left, right)

    def _places(self, whole: str, marks: Sequence[str], messages: Sequence[Message]) -> list[int]:
        """Where each content stands."""
        places, last = [], -1
        for mark, one in zip(marks, messages, strict=True):
            place = whole.find(mark)
            if place < 0:
                raise ModelError(
                    "the chat template leaves a turn out", found=one["role"], hint="take another template, or base"
                )
            if whole.find(mark, place + 1) >= 0 or place <= last:
                raise ModelError("the chat template writes a turn twice, or not in its place", found=one["role"])
            places.append(place)
            last = place
        return places

    def _trims(self, first: Sequence[Message], tools: str | None) -> tuple[bool, bool]:
        """Whether blanks around a content are taken off, left and right."""
        role = first[0]["role"]
        probe = [{**first[0], "content": " blank "}]
        if role == "system":
            probe.append(message("user", "x"))
        text = self.text(probe, tools=tools)
        return " blank" not in text, "blank " not in text

    def _spans(
        self, whole: str, bare: Sequence[Message], marks: Sequence[str], places: Sequence[int], tools: str | None
    ) -> dict[int, int]:
        """For each assistant turn, where in the text the model begins to speak."""
        turns = [number for number, one in enumerate(bare) if one["role"] == "assistant"]
        held = set(turns if len(turns) <= _PROVED else (*turns[: _PROVED // 2], *turns[-_PROVED // 2 :]))
        spans: dict[int, int] = {}
        before: str | None = None
        for number in turns:
            if number in held:
                given = self.text(bare[:number], prompt=True, tools=tools)
                without = self.text(bare[:number], tools=tools)
                if given == without:
                    raise ModelError(
                        "the chat template has no generation prompt: a model could not be asked for an answer",
                        hint=f"set template: {' or '.join(TEMPLATES)}",
                    )
                if not whole.startswith(given) or len(given) > places[number]:
                    raise ModelError(
                        "the chat template begins an answer in one way when it is learnt, in another when it is asked "
                        "for",
                        found=f"{whole[len(without) : places[number]]!r}, and {given[len(without) :]!r}",
                    )
                spans[number] = len(given)
                before = given[len(without) :]
            else:
                assert before is not None
                spans[number] = places[number]
                if not whole[: places[number]].endswith(before):
                    raise ModelError("the chat template begins some answers otherwise than others", found=before)
        return spans

    def _ending(self, text: str) -> tuple[str, int]:
        """What the assistant still says after its content: up to the first special token, with it."""
        first: tuple[int, int, str] | None = None
        for number, token in self._special.items():
            place = text.find(token)
            if place >= 0 and (first is None or (place, -len(token)) < (first[0], -len(first[2]))):
                first = (place, number, token)
        if first is None:
            raise ModelError(
                "the chat template writes no special token at the end of an answer: the model would never stop",
                found=repr(text[:40]),
                hint=f"set template: {' or '.join(TEMPLATES)}",
            )
        return text[: first[0] + len(first[2])], first[1]

    def _encoded(self, text: str, *, learnt: bool) -> list[Segment]:
        if not text:
            return []
        ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return [Segment(ids=tuple(ids), learnt=learnt)]


def _plain(one: Message) -> dict[str, Any]:
    """A message as templates read it."""
    made: dict[str, Any] = {"role": one["role"], "content": one["content"] if one["content"] is not None else ""}
    calls = one.get("tool_calls")
    if calls:
        made["tool_calls"] = json.loads(calls) if isinstance(calls, str) else calls
    return made
