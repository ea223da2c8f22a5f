"""A tag for every word (or character): names of people, places, organisations, and whatever else is marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from sixfold.data.columns import Column
from sixfold.data.examples import Examples, Ragged
from sixfold.errors import DataError
from sixfold.metrics import calibration, entities
from sixfold.metrics.decoding import decode_constrained
from sixfold.metrics.scores import f1
from sixfold.metrics.tagging import Span, spans, tags_of
from sixfold.models.forward import Flat, token_logits
from sixfold.models.head import Head
from sixfold.models.shapes import shape
from sixfold.tasks.contract import Ask, Batch, Encoded, OnLong, Predictor, Rows, Term
from sixfold.tasks.encoding import Frame, Piece, calibrated, frame, framed, pieces, places, row_numbers, word_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
MISTAKES = 50


@dataclass(frozen=True)
class TagPrediction:
    """What the model says of one row's words.

    Attributes:
        tags: BIO, one a word; always a legal sequence.
        entities: (type, first word, word after the last).
        confidences: of each entity, the lowest probability among its words' tags.
        logits: float [words, tags]; words that were cut away have zeros.
        judged: bool [words]; False where the word was cut away (its tag is ``O``).
    """

    tags: tuple[str, ...]
    entities: tuple[Span, ...]
    confidences: tuple[float, ...]
    logits: NDArray[np.float64]
    judged: NDArray[np.bool_]


@dataclass(frozen=True)
class TokenClassification:
    """Words to tags.

    Attributes:
        labels: tags in the order of the head's outputs, ``O`` and B-/I- of each type; empty before ``learn``.
        temperature: divides logits; fitted on validation.
        characters: the rows' words are single characters, as usual for Chinese.
        calibrated_on: validation words that the temperature was fitted on; 0 where they told none.
        shapes: the words' capitals go in as token types, since the tokenizer forgets them.
    """

    labels: tuple[str, ...] = ()
    temperature: float = 1.0
    characters: bool = False
    calibrated_on: int = 0
    shapes: bool = False

    name: ClassVar[str] = "token_classification"
    metric: ClassVar[str] = "f1"
    score_names: ClassVar[tuple[str, ...]] = ("f1", "precision", "recall", "token_accuracy")

    def __post_init__(self) -> None:
        if isinstance(self.labels, list):
            object.__setattr__(self, "labels", tuple(self.labels))

    @property
    def columns(self) -> tuple[Column, ...]:
        return (
            Column("words", "words", names=("words", "tokens", "chars"), help="the words (or characters) of a text"),
            Column("tags", "tags", target=True, names=("tags", "ner_tags", "labels"), help="one tag a word"),
        )

    def learn(self, rows: Rows) -> Self:
        """Find the entity types. Whatever scheme the rows use, the model learns BIO."""
        types = sorted({kind for tags in rows["tags"] for kind, _, _ in spans(tags)})
        if not types:
            raise DataError("no training row has an entity", hint="are the tags in the right column?")
        labels = self.labels or ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "BI"))
        words = [word for row in rows["words"][:1000] for word in row]
        single = sum(len(word) == 1 for word in words)
        return replace(self, labels=labels, characters=single > 0.9 * len(words))

    def head(self) -> Head:
        return Head("token_classification", self.labels)

    def encode(self, rows: Rows, tokenizer: PreTrainedTokenizerBase, limit: int, on_long: OnLong) -> Encoded:
        around = frame(tokenizer)
        sentences = [list(words) for words in rows["words"]]
        ids, firsts = word_ids(sentences, tokenizer, spaced=not self.characters)
        parts, cut = pieces([len(row) for row in ids], limit, around, on_long)
        words = [_words_in(firsts[part.row], part) for part in parts]
        columns: dict[str, Ragged | NDArray] = {
            "input_ids": framed(ids, parts, around),
            "row": row_numbers(parts),
            "words": np.array([len(sentences[part.row]) for part in parts], dtype=np.int64),
            "word": Ragged.of([numbers for numbers, _ in words]),
            "place": Ragged.of([at + len(around.before) for _, at in words]),
        }
        if self.shapes:
            columns["type"] = _types(sentences, ids, firsts, parts, around)
        if "tags" in rows.column_names:
            targets = self._targets(rows["tags"], [len(sentence) for sentence in sentences])
            columns["tag"] = Ragged.of(
                [targets[part.row][numbers] for part, (numbers, _) in zip(parts, words, strict=True)]
            )
            if cut.lost_tokens:
                cut = replace(cut, unlearnable=self._unlearnable(targets, parts, [numbers for numbers, _ in words]))
        return Encoded(Examples(columns), cut)

    def _targets(self, tags: Sequence[Sequence[str]], lengths: Sequence[int]) -> list[NDArray]:
        """Tag indices of each row's words; a type that training did not know is ignored."""
        index = {label: place for place, label in enumerate(self.labels)}
        out = []
        for row, (marks, length) in enumerate(zip(tags, lengths, strict=True)):
            if len(marks) != length:
                raise DataError(
                    f"row {row} has {length} words and {len(marks)} tags", hint="sixfold check lists them all"
                )
            bio = tags_of(spans(marks), length)
            out.append(np.array([index.get(tag, IGNORED) for tag in bio], dtype=np.int32))
        return out

    def _unlearnable(self, targets: Sequence[NDArray], parts: Sequence[Piece], words: Sequence[NDArray]) -> int:
        """Rows with entities of which no word is left in any piece."""
        nothing = [place for place, label in enumerate(self.labels) if label == "O"] + [IGNORED]
        told = [~np.isin(target, nothing) for target in targets]
        left = {part.row for part, numbers in zip(parts, words, strict=True) if told[part.row][numbers].any()}
        return sum(bool(marks.any()) and row not in left for row, marks in enumerate(told))

    def collate(self, examples: Examples, rng: np.random.Generator) -> Batch:
        batch = self._inputs(examples)
        if "tag" in examples.columns:
            batch["tag"] = torch.from_numpy(examples.ragged("tag").values.astype(np.int64))
        return batch

    def _inputs(self, examples: Examples) -> Batch:
        """The tokens, and where in them each judged word begins."""
        ids, place = examples.ragged("input_ids"), examples.ragged("place")
        begins = place.values + np.repeat(ids.offsets[:-1], place.lengths)
        types = examples.ragged("type").values if "type" in examples.columns else None
        return {
            "flat": Flat.of(ids.values, ids.lengths, types),
            "begins": torch.from_numpy(begins.astype(np.int64)),
            "judged": tuple(place.lengths.tolist()),
        }

    def counts(self, batch: Batch) -> dict[str, float]:
        return {"tag": float((batch["tag"] != IGNORED).sum())}

    def loss(self, model: torch.nn.Module, batch: Batch) -> dict[str, Term]:
        logits = token_logits(model, batch["flat"])[batch["begins"]].float()
        total = cross_entropy(logits, batch["tag"], ignore_index=IGNORED, reduction="sum")
        return {"tag": Term(total, self.counts(batch)["tag"], logits=logits)}

    def question(self) -> Ask:
        """What is asked of each example: [words judged, tags] their logits."""
        return Ask("word_logits", self._inputs, _read)

    def joined(
        self, answers: Sequence[NDArray], examples: Examples
    ) -> tuple[list[NDArray[np.float64]], list[NDArray[np.bool_]]]:
        """Each row's logits [words, tags], zeros for words that were cut away, and which [words] were judged.

        A word in two windows is judged by the one in which it stands furthest from an edge.
        """
        if not answers:
            return [], []
        row, lengths = examples.dense("row"), examples.dense("words")
        logits = [np.zeros((0, len(self.labels)))] * (int(row.max()) + 1)
        for number, length in zip(row, lengths, strict=True):
            logits[number] = np.zeros((int(length), len(self.labels)))
        margin = [np.full(len(table), -1) for table in logits]
        tokens, word, place = examples.lengths, examples.ragged("word"), examples.ragged("place")
        for example, answer in enumerate(answers):
            number, numbers = row[example], word[example]
            room = np.minimum(place[example], tokens[example] - 1 - place[example])
            wider = room > margin[number][numbers]
            logits[number][numbers[wider]] = answer[wider]
            margin[number][numbers[wider]] = room[wider]
        return logits, [line >= 0 for line in margin]

    def probabilities(self, logits: NDArray) -> NDArray[np.float64]:
        """[..., tags] after temperature."""
        return calibration.softmax(logits, self.temperature)

    def predict(self, predictor: Predictor, examples: Examples) -> list[TagPrediction]:
        return self._decoded(*self.joined(predictor.ask(examples, self.question()), examples))

    def _decoded(self, logits: list[NDArray], judged: list[NDArray[np.bool_]]) -> list[TagPrediction]:
        outside = self.labels.index("O")
        scores = []
        for table, known in zip(logits, judged, strict=True):
            line = np.log(self.probabilities(table) + 1e-30) if len(table) else table
            line[~known] = -1e9
            line[~known, outside] = 0.0
            scores.append(line)
        out = []
        for tags, line, table, known in zip(
            decode_constrained(scores, self.labels), scores, logits, judged, strict=True
        ):
            index = [self.labels.index(tag) for tag in tags]
            chosen = np.exp(line[np.arange(len(tags)), index])
            found = tuple(spans(tags))
            confidences = tuple(float(chosen[start:end].min()) for _, start, end in found)
            out.append(TagPrediction(tuple(tags), found, confidences, table, known))
        return out

    def tune(self, predictions: Sequence[TagPrediction], rows: Rows) -> Self:
        """Fit the temperature on the validation split's words."""
        logits, gold = self._judged(predictions, rows)
        if not len(gold):
            return self
        fitted = calibration.fit_temperature(logits, gold)
        return replace(self, temperature=fitted.value, calibrated_on=fitted.count if fitted.found else 0)

    def _judged(self, predictions: Sequence[TagPrediction], rows: Rows) -> tuple[NDArray, NDArray]:
        """Logits [words, tags] and tag indices [words] of every judged word with a known tag."""
        targets = self._targets(rows["tags"], [len(p.tags) for p in predictions])
        logits = np.concatenate([p.logits for p in predictions])
        gold = np.concatenate(targets)
        known = np.concatenate([p.judged for p in predictions]) & (gold != IGNORED)
        return logits[known], gold[known]

    def scores(self, predictions: Sequence[TagPrediction], rows: Rows) -> dict[str, float]:
        right = said = true = same = words = 0
        for prediction, tags in zip(predictions, rows["tags"], strict=True):
            gold = spans(tags)
            right += len(set(gold) & set(prediction.entities))
            said, true = said + len(prediction.entities), true + len(gold)
            same += sum(a == b for a, b in zip(tags_of(gold, len(tags)), prediction.tags, strict=True))
            words += len(tags)
        return {
            "f1": float(f1(np.array(right), np.array(said), np.array(true))),
            "precision": right / max(1, said),
            "recall": right / max(1, true),
            "token_accuracy": same / max(1, words),
        }

    def evaluate(self, predictions: Sequence[TagPrediction], rows: Rows, *, seed: int) -> dict[str, Any]:
        gold = [tags_of(spans(tags), len(tags)) for tags in rows["tags"]]
        result = entities.evaluate(gold, [p.tags for p in predictions], seed=seed).to_dict()
        logits, index = self._judged(predictions, rows)
        if len(index):
            result["calibration"] = calibrated(logits, index, self.temperature, self.calibrated_on, seed)
        result["unjudged_words"] = int(sum((~p.judged).sum() for p in predictions))
        return {**result, "mistakes": _mistakes(predictions, rows, gold)}

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def show(self, prediction: TagPrediction) -> dict[str, Any]:
        found = [
            {"type": kind, "start": start, "end": end, "confidence": round(confidence, 6)}
            for (kind, start, end), confidence in zip(prediction.entities, prediction.confidences, strict=True)
        ]
        return {"tags": list(prediction.tags), "entities": found}


def _types(
    sentences: Sequence[Sequence[str]],
    ids: Sequence[Sequence[int]],
    firsts: Sequence[NDArray],
    parts: Sequence[Piece],
    around: Frame,
) -> Ragged:
    """The shape of its word for each token of each piece; 0 for the frame."""
    table = {word: shape(word) for sentence in sentences for word in sentence}
    rows = []
    for sentence, tokens, first in zip(sentences, ids, firsts, strict=True):
        kinds = np.array([table[word] for word in sentence], dtype=np.int32)
        rows.append(np.repeat(kinds, np.diff(np.append(first, len(tokens)))))
    before, after = [0] * len(around.before), [0] * len(around.after)
    return Ragged.of([[*before, *rows[part.row][part.start : part.end], *after] for part in parts])


def _words_in(firsts: NDArray, part: Piece) -> tuple[NDArray, NDArray]:
    """The words whose first token lies in a piece: their numbers, and those tokens' places in the piece."""
    numbers = np.flatnonzero((firsts >= part.start) & (firsts < part.end))
    return numbers, firsts[numbers] - part.start


def _read(model: torch.nn.Module, batch: Batch) -> list[NDArray]:
    logits = token_logits(model, batch["flat"])[batch["begins"]].float().cpu()
    return [part.numpy() for part in logits.split(list(batch["judged"]))]


def _mistakes(predictions: Sequence[TagPrediction], rows: Rows, gold: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Sentences with the most wrong entities first."""
    wrong = [len(set(spans(tags)) ^ set(p.entities)) for tags, p in zip(gold, predictions, strict=True)]
    order = [place for place in sorted(range(len(wrong)), key=lambda place: -wrong[place]) if wrong[place]]
    words, where = rows["words"], places(rows)
    return [
        {
            "words": list(words[place]),
            "gold_tags": list(gold[place]),
            "predicted_tags": list(predictions[place].tags),
            "confidence": min(predictions[place].confidences, default=1.0),
            "where": where(place),
        }
        for place in order[:MISTAKES]
    ]
