"""What fine-tuned checkpoints are asked when an answer of theirs is explained: a text's label, a row's entity.

Next tokens of decoders are in ``decoder.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples
from sixfold.errors import DataError, UsageError, unknown
from sixfold.explain.game import Floats, Game, Judged, Scale
from sixfold.explain.inside import attention_of, offsets_of, path_of, windowed
from sixfold.explain.masking import FILLINGS, Copies, EditCopies, RowCopies, TokenCopies, patient, stand_in
from sixfold.explain.units import Units, matters, units_of
from sixfold.metrics.tagging import parts
from sixfold.score.driver import Search
from sixfold.score.edited import Tokens
from sixfold.score.subject import Subject, Text
from sixfold.tasks.contract import Ask, Limits
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.token_classification import IGNORED, TokenClassification
from sixfold.text import Span, words


@dataclass(frozen=True)
class View:
    """How texts are explained.

    Attributes:
        by: what a unit is: ``words``, ``subwords``, ``sentences`` or ``characters``.
        label: the answer that is explained; the model's own unless given. Of a tagger, a type of entity.
        filling: ``delete`` or ``mask``; delete for texts, mask for rows of words unless given.
        scale: what a coalition is worth.
    """

    by: str = "words"
    label: str | None = None
    filling: str | None = None
    scale: Scale = "probability"

    def __post_init__(self) -> None:
        if self.filling is not None and self.filling not in FILLINGS:
            raise unknown("filling", self.filling, FILLINGS)
        if self.scale not in ("probability", "log_odds"):
            raise unknown("scale", self.scale, ("probability", "log_odds"))


def games(subject: Subject, given: str | Sequence[str], view: View) -> Search[list[Game]]:
    """The games of one text or row: one of a text, one an entity of a row.

    Raises:
        UsageError: no such label, unit, filling.
        DataError: the text is empty or no text, too long, or has nothing to explain.
    """
    if isinstance(subject.task, TextClassification):
        if not isinstance(given, str):
            raise DataError("this model reads texts, not rows of words", found=repr(given)[:80])
        return (yield from _of_text(subject, sound(given), view))
    row = [sound(word) for word in given] if not isinstance(given, str) else split(subject, sound(given))
    return (yield from _of_row(subject, row, view, given if isinstance(given, str) else None))


def sound(text: str) -> str:
    """The text, if it is one.

    Raises:
        DataError: it is empty, or holds half of a character (UTF-16 cut in two).
    """
    if not isinstance(text, str) or not text.strip():
        raise DataError("there is no text to explain", found=repr(text)[:80])
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError("the text holds half of a character", where=f"character {error.start}") from None
    return text


def split(subject: Subject, text: str) -> list[str]:
    """A string as the words (or characters) that a tagger reads."""
    assert isinstance(subject.task, TokenClassification)
    if subject.task.characters:
        return [letter for letter in text if not letter.isspace()]
    return [text[start:end] for start, end in words(text)]


def _of_text(subject: Subject, string: str, view: View) -> Search[list[Game]]:
    task = subject.task
    assert isinstance(task, TextClassification)
    label = None if view.label is None else _label(view.label, task.labels)
    text = subject.text(string)
    query = subject.query(text, [()])
    answers = yield query
    probabilities = subject.probabilities(subject.logits(text, query, answers))[0]
    if label is None:
        label = int(probabilities.argmax())
    assert isinstance(text.tokens, Tokens)
    offsets = offsets_of(text.tokens)
    units = units_of(string, offsets, view.by)
    if not len(units):
        raise DataError("the model sees nothing of this text", found=repr(string)[:80])
    copies = token_copies(text.tokens, units, subject)
    owners = None if units.shared else windowed(subject, units.owners(len(offsets)))
    return [
        Game(
            text=string,
            units=units,
            label=task.labels[label],
            ask=task.question(),
            judge=_label_judge(subject, label, probabilities),
            copies=copies,
            filling=view.filling or "delete",
            scale=view.scale,
            beyond=_beyond(subject, units),
            path=None if owners is None else path_of(subject, text, owners, label),
            attention=None if owners is None else attention_of(subject, text, owners),
        )
    ]


def _beyond(subject: Subject, units: Units) -> int:
    """Units of which the model reads nothing, because long texts are cut."""
    if subject.on_long == "window":
        return 0
    return int((units.ranges[:, 0] >= subject.limit - len(subject.frame)).sum())


def _label(name: str, labels: Sequence[str]) -> int:
    if name not in labels:
        raise unknown("label", name, labels)
    return labels.index(name)


def token_copies(tokens: Tokens, units: Units, model: Subject) -> dict[str, Copies]:
    """By filling, the copies of a text that is one run of tokens."""
    fill, spelt = stand_in(model.tokenizer)
    owners = units.owners(len(tokens.ids)) if not units.shared else np.full(len(tokens.ids), -1)
    plain = TokenCopies(tokens.ids, owners, model.frame, model.limit, patient(model.on_long), blank=fill)
    if units.shared:
        return {"delete": EditCopies(tokens, units, plain), "mask": EditCopies(tokens, units, plain, spelt)}
    return {"delete": plain, "mask": replace(plain, fill=fill)}


def _label_judge(subject: Subject, label: int, whole: Floats) -> Callable[[Sequence[NDArray], Examples], Judged]:
    """Judges copies by a label. What holds is the answer to the whole text: that the label is given, or that it is not.

    Args:
        whole: [classes] the probabilities of the whole text.
    """
    task = subject.task
    assert isinstance(task, TextClassification)
    cut = (task.thresholds or (0.5,) * len(task.labels))[label] if task.several else 0.0

    def given(found: Floats) -> NDArray[np.bool_]:
        return found[:, label] >= cut if task.several else found.argmax(axis=1) == label

    was = given(whole[None])

    def judge(answers: Sequence[NDArray], examples: Examples) -> Judged:
        found = task.probabilities(task.joined(answers, examples))
        return Judged(found[:, label], given(found) == was)

    return judge


def _of_row(subject: Subject, row: Sequence[str], view: View, given: str | None) -> Search[list[Game]]:
    """A game for each entity that the model finds."""
    task = subject.task
    assert isinstance(task, TokenClassification)
    kinds = sorted({parts(tag)[1] for tag in task.labels if tag != "O"})
    if view.label is not None and view.label not in kinds:
        raise unknown("type of entity", view.label, kinds)
    if view.filling == "delete":
        raise UsageError("words of a row keep their places: they can be masked, not deleted", hint="filling mask")
    if view.by not in ("words", "sentences"):
        raise UsageError(f"a row of words is explained by words or sentences, not by {view.by}", nearest="words")
    if not row:
        raise DataError("there is no text to explain", found=repr(row))
    text = subject.words(row)
    query = subject.query(text, [()])
    answers = yield query
    (prediction,) = task.predict(_Known(answers), query.examples)
    string, spans = (text.sentence.text, text.sentence.spans) if given is None else (given, _placed(given, row))
    units, owners = _row_units(subject, text, query.examples, string, spans, view.by)
    copies: dict[str, Copies] = {"mask": RowCopies(query.examples, owners, stand_in(subject.tokenizer)[0])}
    found = []
    for kind, start, end in prediction.entities:
        if view.label is not None and kind != view.label:
            continue
        tags = [task.labels.index(tag) for tag in prediction.tags[start:end]]
        wanted = np.full(len(row), IGNORED)
        wanted[start:end] = tags
        place = spans[start].start, spans[end - 1].end
        found.append(
            Game(
                text=string,
                units=units,
                label=kind,
                ask=query.ask,
                judge=_entity_judge(task, start, tags),
                copies=copies,
                filling="mask",
                scale=view.scale,
                where=place,
                beyond=_beyond(subject, units),
                path=path_of(subject, text, owners, wanted.tolist()),
                attention=attention_of(subject, text, owners, start),
            )
        )
    return found


@dataclass(frozen=True)
class _Known:
    """Answers that are there already, for a task to make a prediction of."""

    answers: Sequence[NDArray]

    def ask(self, examples: Examples, ask: Ask) -> list[NDArray]:
        return list(self.answers)

    def generate(self, examples: Examples, limits: Limits) -> list[list[int]]:
        raise AssertionError("nothing is written here")


def _placed(string: str, row: Sequence[str]) -> list[Span]:
    """Where each word of a row stands in the string that it was split from."""
    spans, place = [], 0
    for word in row:
        start = string.index(word, place)
        place = start + len(word)
        spans.append(Span(start, place))
    return spans


def _row_units(
    subject: Subject, text: Text, whole: Examples, string: str, spans: Sequence[Span], by: str
) -> tuple[Units, NDArray[np.int64]]:
    """The units of a row, and the unit of each token of all its windows; marks are always kept."""
    lengths: NDArray[np.int64] = text.tokens.lengths  # type: ignore[union-attr]
    ends = np.cumsum(lengths)
    offsets = np.repeat(np.array(spans, dtype=np.int64).reshape(-1, 2), lengths, axis=0)
    if by == "words":
        kept = [place for place, (start, end) in enumerate(spans) if matters(string[start:end])]
        kept = kept or list(range(len(spans)))
        ranges = np.stack([ends - lengths, ends], axis=1)[kept]
        units = Units(tuple(spans[place] for place in kept), ranges)
    else:
        units = units_of(string, offsets, by)
    owner = units.owners(len(offsets))
    found = windowed(subject, owner)
    assert len(found) == len(whole.ragged("input_ids").values)
    return units, found


def _entity_judge(
    task: TokenClassification, start: int, tags: Sequence[int]
) -> Callable[[Sequence[NDArray], Examples], Judged]:
    """Judges copies by an entity: the mean probability of its words' tags; it holds while each is the likeliest."""
    places = np.arange(start, start + len(tags))

    def judge(answers: Sequence[NDArray], examples: Examples) -> Judged:
        logits, _ = task.joined(answers, examples)
        found = task.probabilities(np.stack([line[places] for line in logits]))
        chosen: Floats = found[:, np.arange(len(tags)), tags]
        return Judged(chosen.mean(axis=1), (found.argmax(axis=2) == tags).all(axis=1))

    return judge
