"""Learning to answer in a conversation: every turn of the assistant, and nothing else, is learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from sixfold.data.columns import Column
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError
from sixfold.models.forward import Flat
from sixfold.models.head import Head
from sixfold.tasks.chat_template import ChatTemplate, Message
from sixfold.tasks.contract import Ask, Batch, Cut, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.text_loss import SCORES, TextLoss, by_row, judged, measured, summary, terms

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


PROVED = 200
"""Conversations whose masks are held against their text before the first step."""
SHOWN = 5
"""Long rows that are named."""


@dataclass(frozen=True)
class Written:
    """A conversation, or a part of it, as tokens.

    Attributes:
        ids: [tokens]
        learnt: [tokens] whether the model has to say the token.
    """

    ids: list[int]
    learnt: list[bool]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Proof:
    """What was seen of the masks of some conversations, before the first step.

    Attributes:
        conversations, turns: how many, and the assistant's turns in them.
        learnt, given: tokens that are learnt, and that are not.
        stops: the tokens that end a turn.
    """

    conversations: int
    turns: int
    learnt: int
    given: int
    stops: tuple[str, ...]

    def told(self) -> str:
        """A line for a person."""
        share = self.learnt / max(1, self.learnt + self.given)
        return (
            f"masks proved on {self.conversations:,} conversations: {self.turns:,} answers learnt whole, each with "
            f"{' or '.join(map(repr, self.stops))}, nothing else ({share:.0%} of the tokens)"
        )


@dataclass(frozen=True)
class Dialogue:
    """Conversations in, the assistant's turns out.

    A conversation that is longer than the model is split between rounds (a user's turn and what answers it); each part
    begins with the system prompt, and every answer is learnt once.
    """

    name: ClassVar[str] = "dialogue"
    metric: ClassVar[str] = "loss"
    score_names: ClassVar[tuple[str, ...]] = SCORES

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column("messages", "messages", help="turns with role and content"),
            Column("tools", "text", required=False, help="what the assistant may call, as JSON"),
        )

    def learn(self, rows: Rows) -> Self:
        return self

    def fitted(self, tokenizer: PreTrainedTokenizerBase) -> Self:
        """The same task for one tokenizer. Raises ModelError where it has no template, or no end of a text."""
        ChatTemplate(tokenizer)
        return self

    def head(self) -> Head:
        return Head("causal_lm")

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        template = ChatTemplate(tokenizer)
        tools = list(rows["tools"]) if "tools" in rows.column_names else [None] * len(rows)
        count = _Count(limit)
        parts: list[Written] = []
        owners: list[int] = []
        for row, (messages, offered) in enumerate(zip(rows["messages"], tools, strict=True)):
            for part in self._parts(template, messages, offered, limit, on_long, row, count):
                parts.append(part)
                owners.append(row)
        offsets = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": Ragged.of([part.ids for part in parts]),
            "learnt": Ragged.of([part.learnt for part in parts], dtype=np.int8),
            "row": np.array(owners, dtype=np.int64),
        }
        return Encoded(Examples(columns), count.cut(len(rows)))

    def _parts(
        self,
        template: ChatTemplate,
        messages: Sequence[Message],
        tools: str | None,
        limit: int,
        on_long: OnLong,
        row: int,
        count: _Count,
    ) -> Iterator[Written]:
        """A conversation as examples of at most ``limit`` tokens."""
        head, rounds = in_rounds(messages)
        kept = [turns for turns in rounds if any(one["role"] == "assistant" for one in turns)]
        if not kept:
            count.unlearnable += 1
            return
        whole = written(template, [*head, *(one for turns in kept for one in turns)], tools)
        count.longest = max(count.longest, len(whole))
        if len(whole) <= limit:
            yield whole
            return
        count.long(row)
        made, done = 0, 0
        for part in split_at_rounds(template, head, kept, tools, limit):
            if on_long == "truncate" and made:
                break
            made += 1
            done += sum(part.learnt)
            yield part
        count.more += max(0, made - 1)
        count.lost += sum(whole.learnt) - done
        count.unlearnable += not made

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        return self._batch(examples)

    def _batch(self, examples: Examples) -> Batch:
        """Each place before a token that is learnt, and that token."""
        ids, learnt = examples.ragged("input_ids"), examples.ragged("learnt")
        asked = learnt.values.astype(bool).copy()
        asked[ids.offsets[:-1]] = False  # nothing stands before a first token
        where = np.flatnonzero(asked)
        return {
            "flat": Flat.of(ids.values, ids.lengths),
            "places": torch.from_numpy(where - 1),
            "target": torch.from_numpy(np.asarray(ids.values[where], dtype=np.int64)),
        }

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"token": float(len(batch["target"]))}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        return terms(model, batch["flat"], {"token": (batch["places"], batch["target"])})

    def predict(self, predictor: Predictor, examples: Examples) -> list[TextLoss]:
        return by_row(examples.dense("row"), predictor.ask(examples, Ask("answer_loss", self._batch, judged)))

    def tune(self, predictions: Sequence[TextLoss], rows: Rows) -> Self:
        return self

    def scores(self, predictions: Sequence[TextLoss], rows: Rows) -> dict[str, float]:
        return summary(predictions)

    def evaluate(self, predictions: Sequence[TextLoss], rows: Rows, *, seed: int) -> dict[str, Any]:
        return measured(predictions, None, seed=seed)

    def settings(self) -> dict[str, Any]:
        return {}

    def show(self, prediction: TextLoss) -> dict[str, Any]:
        return {"loss": prediction.nats / max(1, prediction.targets), "tokens": prediction.targets}


@dataclass
class _Count:
    """What encoding met."""

    limit: int
    rows: list[int] = field(default_factory=list)
    more: int = 0
    lost: int = 0
    unlearnable: int = 0
    longest: int = 0

    def long(self, row: int) -> None:
        self.rows.append(row)

    def cut(self, rows: int) -> Cut:
        return Cut(
            rows=rows,
            long_rows=len(self.rows),
            lost_tokens=self.lost,
            windows=self.more,
            unlearnable=self.unlearnable,
            longest=self.longest,
            limit=self.limit,
            where=tuple(self.rows[:SHOWN]),
        )


def in_rounds(messages: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """The system prompt, and the rounds: each begins with a turn of the user."""
    head = [messages[0]] if messages and messages[0]["role"] == "system" else []
    rounds: list[list[Message]] = []
    for one in messages[len(head) :]:
        if one["role"] == "user" or not rounds:
            rounds.append([])
        rounds[-1].append(one)
    return head, rounds


def written(template: ChatTemplate, messages: Sequence[Message], tools: str | None = None) -> Written:
    """The tokens of a conversation, and which of them are learnt.

    Raises:
        DataError, ModelError: as ``ChatTemplate.shape``.
    """
    shape = template.shape(messages, tools)
    contents = template.contents([one["content"] or "" for one in messages], shape)
    ids: list[int] = []
    learnt: list[bool] = []
    for segment in shape.segments:
        some = list(segment.ids) if segment.content is None else contents[segment.content]
        ids += some
        learnt += [segment.learnt] * len(some)
    return Written(ids, learnt)


def split_at_rounds(
    template: ChatTemplate,
    head: Sequence[Message],
    rounds: Sequence[Sequence[Message]],
    tools: str | None,
    limit: int,
) -> Iterator[Written]:
    """As many rounds at a time as fit behind the system prompt; a round that does not fit alone is left out."""
    sizes = [len(written(template, [*head, *turns], tools)) for turns in rounds]
    alone = len(written(template, [*head, *rounds[0]], tools))
    # what the head takes: the same rounds once more cost it no second time
    again = len(written(template, [*head, *rounds[0], *rounds[0]], tools)) - alone
    fixed = alone - again
    start = 0
    while start < len(rounds):
        if sizes[start] > limit:
            start += 1
            continue
        end, total = start + 1, sizes[start]
        while end < len(rounds) and total + sizes[end] - fixed <= limit:
            total += sizes[end] - fixed
            end += 1
        part = written(template, [*head, *(one for turns in rounds[start:end] for one in turns)], tools)
        while len(part) > limit and end > start + 1:  # a template that writes later turns otherwise
            end -= 1
            part = written(template, [*head, *(one for turns in rounds[start:end] for one in turns)], tools)
        yield part
        start = end


def prove(template: ChatTemplate, conversations: Sequence[tuple[Sequence[Message], str | None]]) -> Proof:
    """Hold the masks of some conversations against what they are for, by the tokens' text.

    Raises:
        ModelError: an answer is not learnt whole, or not its end, or something else is learnt.
    """
    decode = template.tokenizer.decode
    turns = learnt = given = 0
    ends: set[int] = set()
    for messages, tools in conversations:
        shape = template.shape(messages, tools)
        made = written(template, messages, tools)
        answers = [one for one in messages if one["role"] == "assistant"]
        runs = _runs(made)
        if len(runs) != len(answers):
            _broken("not every answer is learnt on its own", f"{len(answers)} answers, {len(runs)} learnt stretches")
        for run, answer in zip(runs, answers, strict=True):
            if run[-1] not in shape.stops:
                _broken("the token that ends an answer is not learnt", decode(run[-3:]))
            wanted = decode(template.contents([answer["content"] or ""], shape)[0])
            if wanted not in decode(run):
                _broken("an answer is not learnt whole", decode(run)[:80])
            ends.add(run[-1])
        turns += len(answers)
        learnt += sum(made.learnt)
        given += len(made) - sum(made.learnt)
    stops = tuple(sorted(template.tokenizer.convert_ids_to_tokens(list(ends))))
    return Proof(len(conversations), turns, learnt, given, stops)


def prove_rows(template: ChatTemplate, rows: Rows) -> Proof:
    """``prove`` on the first of some rows.

    Raises:
        ModelError: as ``prove``.
    """
    count = min(PROVED, len(rows))
    tools = rows["tools"][:count] if "tools" in rows.column_names else [None] * count
    return prove(template, list(zip(rows["messages"][:count], tools, strict=True)))


def _runs(made: Written) -> list[list[int]]:
    """The stretches that are learnt."""
    runs: list[list[int]] = []
    before = False
    for token, learnt in zip(made.ids, made.learnt, strict=True):
        if learnt and not before:
            runs.append([])
        if learnt:
            runs[-1].append(token)
        before = learnt
    return runs


def _broken(what: str, found: str) -> None:
    raise ModelError(f"the masks of the conversations are wrong: {what}", found=found, hint="take another template")
