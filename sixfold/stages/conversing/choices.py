"""Answers to choose from: the next turn of a conversation among others' turns, and the contradiction probes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sixfold.data.conversations import message
from sixfold.data.examples import Column, Examples, Ragged
from sixfold.data.partition import drawn
from sixfold.score.scorer import Scorer
from sixfold.stages.conversing.held_out import Conversation, fitting, independent
from sixfold.stages.conversing.probes import PROBES
from sixfold.tasks.chat_template import ChatTemplate, Message
from sixfold.tasks.dialogue import Dialogue, Written, written
from sixfold.text.counting import counted
from sixfold.text.language import normal

Result = dict[str, Any]

DISTRACTORS = 9
CONTEXT = 1024
"""Tokens of a conversation and its next turn that ranking looks at: ten candidates each cost so many."""


@dataclass(frozen=True)
class Choice:
    """A conversation and answers to it, of which the first is the right one.

    Attributes:
        told: what stands of it in the results.
    """

    messages: Sequence[Message]
    tools: str | None
    language: str
    answers: Sequence[str]
    told: Result


@dataclass(frozen=True)
class Ranked:
    """A choice that was made.

    Attributes:
        scores: of each answer, the mean log-probability of its tokens, with the one that ends it.
    """

    choice: Choice
    scores: tuple[float, ...]

    @property
    def language(self) -> str:
        return self.choice.language

    @property
    def rank(self) -> int:
        """Of the right answer: 1 where it is likeliest. A tie counts against it."""
        return 1 + sum(not self.scores[0] > other for other in self.scores[1:])

    def to_dict(self) -> Result:
        """Plain JSON data."""
        return {"language": self.language, **self.choice.told, "rank": self.rank}


def next_turns(
    template: ChatTemplate, conversations: Sequence[Conversation], count: int, limit: int, seed: int
) -> tuple[list[Choice], dict[str, str]]:
    """A turn of each of some conversations with nine of others, and what was left out or shortened, and why.

    Args:
        count: at most so many conversations.
        limit: tokens that the model reads.
    """
    turns: dict[str, list[tuple[str, str]]] = {}
    for one in conversations:
        for place in one.answers:
            turns.setdefault(one.language, []).append((one.thread, one.messages[place]["content"]))
    usable = independent(one for one in conversations if one.answers)
    choices: list[Choice] = []
    few: Counter[str] = Counter()
    long = short = 0
    limit = min(limit, CONTEXT)
    for index in drawn(len(usable), count, seed):
        one = usable[index]
        random = np.random.default_rng((seed % 2**64, one.row))
        turn = one.answers[int(random.integers(len(one.answers)))]
        truth = one.messages[turn]["content"]
        answers = (truth, *_distractors(turns[one.language], one.thread, truth, random))
        if len(answers) <= DISTRACTORS:
            few[one.language] += 1
            continue
        given = fitting(one.messages[:turn], _with_longest(template, answers, one.tools), limit)
        if given is None:
            long += 1
            continue
        short += len(given) < turn
        choices.append(Choice(given, one.tools, one.language, answers, {"row": one.row, "turn": turn}))
    missing: dict[str, str] = {}
    if count and not usable:
        missing["next-turn ranking"] = "no held-out conversation has a turn of the assistant"
    for name, left_out in sorted(few.items()):
        missing[f"next-turn ranking, {name}"] = (
            f"{counted(left_out, 'conversation')} left out: the others have fewer than {DISTRACTORS} other turns"
        )
    if long:
        missing["next turns, too long"] = f"{counted(long, 'conversation')} left out: more than {limit:,} tokens"
    if short:
        missing["next turns, long"] = f"{counted(short, 'conversation')} ranked by the last {limit:,} tokens' rounds"
    return choices, missing


def _distractors(
    turns: Sequence[tuple[str, str]], thread: str, truth: str, random: np.random.Generator
) -> tuple[str, ...]:
    """Up to nine turns of other conversations, all different."""
    own = normal(truth)
    found: dict[str, str] = {}
    for index in random.permutation(len(turns)):
        other, text = turns[index]
        if other != thread and normal(text) != own:
            found.setdefault(normal(text), text)
        if len(found) == DISTRACTORS:
            break
    return tuple(found.values())


def contradictions(template: ChatTemplate, languages: Sequence[str], limit: int) -> tuple[list[Choice], dict[str, str]]:
    """The probes in some languages that the model can read whole, and what was left out, and why."""
    asked = [one for one in PROBES if one.language in languages]
    choices = []
    for one in asked:
        messages = [message(("user", "assistant")[place % 2], text) for place, text in enumerate(one.turns)]
        answers = (one.fits, *one.contradicts)
        if _with_longest(template, answers, None)(messages) <= limit:
            told = {"about": one.about, "question": one.turns[-1], "fits": one.fits}
            choices.append(Choice(messages, None, one.language, answers, told))
    if len(choices) == len(asked):
        return choices, {}
    return choices, {
        "contradiction probes": f"{len(asked) - len(choices):,} left out: the model reads {limit:,} tokens"
    }


def _with_longest(
    template: ChatTemplate, answers: Sequence[str], tools: str | None
) -> Callable[[Sequence[Message]], int]:
    """Tells the tokens of a conversation with the longest of its answers."""
    _, longest = max((len(ids), answer) for ids, answer in zip(template.contents(answers), answers, strict=True))
    return lambda some: len(written(template, [*some, message("assistant", longest)], tools))


def ranked(scorer: Scorer, template: ChatTemplate, choices: Sequence[Choice]) -> list[Ranked]:
    """All answers of all choices, scored together."""
    examples = [_example(template, one, answer) for one in choices for answer in one.answers]
    if not examples:
        return []
    columns: dict[str, Column] = {
        "input_ids": Ragged.of([one.ids for one in examples]),
        "learnt": Ragged.of([one.learnt for one in examples], dtype=np.int8),
        "row": np.arange(len(examples)),
    }
    found = iter([-one.nats / one.targets for one in Dialogue().predict(scorer, Examples(columns))])
    return [Ranked(one, tuple(next(found) for _ in one.answers)) for one in choices]


def _example(template: ChatTemplate, choice: Choice, answer: str) -> Written:
    """The conversation with an answer, of which the answer alone is asked for."""
    made = written(template, [*choice.messages, message("assistant", answer)], choice.tools)
    given = len(template.prompt(choice.messages, choice.tools))
    return replace(made, learnt=[learnt and place >= given for place, learnt in enumerate(made.learnt)])
