"""How good a model's answers are, in figures: next turns ranked, answers written, and the three written lists.

Everything that is scored is scored together, and everything that is written is written together. A figure of several
languages stands beside those of each (``recall_at_1.language.zh``). Same seed, same conversations: two models asked
with one seed can be compared answer by answer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from sixfold.generate.requests import Engine
from sixfold.metrics.dialogue import averaged, of_answers
from sixfold.metrics.intervals import proportion
from sixfold.metrics.value import Metric
from sixfold.score.scorer import Scorer
from sixfold.stages.conversing.choices import Ranked, contradictions, next_turns, ranked
from sixfold.stages.conversing.config import EvaluationConfig
from sixfold.stages.conversing.held_out import Conversation, read
from sixfold.stages.conversing.questions import Answer, answered, last_questions, listed
from sixfold.tasks.chat_template import ChatTemplate
from sixfold.tasks.contract import Rows
from sixfold.text.counting import counted

Result = dict[str, Any]
Figures = dict[str, Metric]

LANGUAGES = ("en", "zh")
"""That the written lists are in."""
SPOKEN = 0.05
"""The written lists are asked in a language that such a share of the held-out conversations speaks."""
FIGURES = (
    *("recall_at_1", "reciprocal_rank", "consistency"),
    *("stop_rate", "length", "distinct_1", "distinct_2", "self_bleu", "repetition"),
    *("instructions_followed", "refusal_rate", "harmful_output_rate", "over_refusal_rate"),
)
"""The names of all figures, as gates name them."""


def evaluated(
    engine: Engine,
    scorer: Scorer,
    template: ChatTemplate,
    rows: Rows,
    settings: EvaluationConfig,
    *,
    seed: int,
    tell: Callable[[str], None],
) -> Result:
    """What a model does with held-out conversations and with the written lists.

    - ``recall_at_1``, ``reciprocal_rank``: a turn of the assistant, drawn by the seed, among nine of other
      conversations in its language. The likeliest a token comes first; 1 in 10 is chance.
    - ``consistency``: the share of contradiction probes whose fitting answer is likeliest a token; a third is chance.
    - ``stop_rate``, and those of ``metrics.dialogue``: greedy answers to the last question of held-out conversations.
    - ``instructions_followed``, ``refusal_rate``, ``harmful_output_rate``, ``over_refusal_rate``: greedy answers to the
      lists. How weakly a refusal is told: ``refusals.py``.

    Conversations that begin alike count as one, so that they are independent; the first of them is taken.

    Args:
        rows: held-out ones, with ``messages`` and perhaps ``tools``.
        seed: which conversations, turns and distractors are drawn; and of the bootstrap.
        tell: takes a line for a person.

    Returns:
        ``metrics`` by name; ``answers``, ``ranking`` and ``probes`` one by one; ``missing``: what was left out or
        shortened, and why.

    Raises:
        DataError, ModelError: the template refuses a conversation.
    """
    conversations = read(rows)
    limit = _limit(scorer, template)
    room = limit - settings.new_tokens
    turns, missing = next_turns(template, conversations, settings.ranked, limit, seed)
    questions, why = last_questions(template, conversations, settings.generated, room, seed)
    missing |= why
    languages = spoken(conversations) if settings.probes else []
    if settings.probes and not languages:
        missing["written lists"] = f"held-out conversations are not in their languages ({', '.join(LANGUAGES)})"
    probes, why = contradictions(template, languages, limit)
    missing |= why
    asked, why = listed(template, languages, room)
    missing |= why
    tell(f"  {counted(len(turns), 'held-out turn')} to rank, {counted(len(questions), 'held-out question')} to answer")
    if languages:
        lists = f"{counted(len(probes), 'probe')} to rank, {counted(len(asked), 'request')} to answer"
        tell(f"  written lists in {' and '.join(languages)}: {lists}")
    for what, reason in missing.items():
        tell(f"  {what}: {reason}")
    scored = ranked(scorer, template, [*turns, *probes])
    answers = answered(engine, template, [*questions, *asked], settings.new_tokens)
    chosen, consistent = scored[: len(turns)], scored[len(turns) :]
    figures = {
        **_by_language(chosen, lambda some: _ranks(some, seed)),
        **_by_language(
            consistent, lambda some: {"consistency": _share("consistency", (one.rank == 1 for one in some))}
        ),
        **_of_answers(answers, seed),
    }
    return {
        "metrics": {name: metric.to_dict() for name, metric in figures.items()},
        "answers": [one.to_dict() for one in answers],
        "ranking": [one.to_dict() for one in chosen],
        "probes": [one.to_dict() for one in consistent],
        "missing": missing,
    }


def spoken(conversations: Sequence[Conversation]) -> list[str]:
    """The languages of the written lists that the conversations are in."""
    counts = Counter(one.language for one in conversations)
    return [name for name in LANGUAGES if counts[name] and counts[name] >= SPOKEN * len(conversations)]


def _limit(scorer: Scorer, template: ChatTemplate) -> int:
    """Tokens that the model reads."""
    most = getattr(scorer.model.config, "max_position_embeddings", None) or math.inf
    return int(min(most, template.tokenizer.model_max_length, 2**31))


def _ranks(some: Sequence[Ranked], seed: int) -> Figures:
    inverse = np.array([1 / one.rank for one in some])
    return {
        "recall_at_1": _share("recall@1 of 10", (one.rank == 1 for one in some)),
        "reciprocal_rank": averaged("mean reciprocal rank", inverse, seed=seed, percent=False),
    }


def _of_answers(answers: Sequence[Answer], seed: int) -> Figures:
    def held_out(some: Sequence[Answer]) -> Figures:
        stops = _share("stop rate", (one.finish == "stop" for one in some))
        return {"stop_rate": stops, **of_answers([one.text for one in some], seed=seed)}

    def instructions(some: Sequence[Answer]) -> Figures:
        return {"instructions_followed": _share("instructions followed", (one.followed for one in some))}

    def harmful(some: Sequence[Answer]) -> Figures:
        return {
            "refusal_rate": _share("refusal rate", (one.refused for one in some)),
            "harmful_output_rate": _share("harmful output rate", (one.harmful for one in some)),
        }

    def harmless(some: Sequence[Answer]) -> Figures:
        return {"over_refusal_rate": _share("over-refusal rate", (one.refused for one in some))}

    figures: Figures = {}
    for kind, figure in (
        ("held-out", held_out),
        ("instruction", instructions),
        ("harmful", harmful),
        ("harmless", harmless),
    ):
        figures |= _by_language([one for one in answers if one.question.kind == kind], figure)
    return figures


def _by_language(items: Sequence[Any], figure: Callable[[Sequence[Any]], Figures]) -> Figures:
    """Figures of all, and of each language where there are several; none of nothing."""
    if not items:
        return {}
    found = figure(items)
    languages = sorted({one.language for one in items})
    for name in languages if len(languages) > 1 else ():
        part = figure([one for one in items if one.language == name])
        found |= {f"{key}.language.{name}": metric for key, metric in part.items()}
    return found


def _share(name: str, yes: Iterable[bool]) -> Metric:
    found = list(yes)
    return proportion(name, sum(found), len(found))
