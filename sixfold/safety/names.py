"""Names of people, places and organisations, by token-classification checkpoints of Sixfold's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.errors import ModelError, UsageError
from sixfold.safety.entity import Entity
from sixfold.text.language import has_han
from sixfold.text.segment import Span, words

if TYPE_CHECKING:
    from sixfold.score.scorer import Scorer
    from sixfold.score.tuned import Tuned
    from sixfold.tasks.token_classification import TokenClassification

_TYPES = {
    "person": ("per", "person", "nr", "name"),
    "place": ("loc", "gpe", "location", "ns", "address", "city", "country"),
    "organisation": ("org", "organization", "organisation", "nt", "company", "government"),
}
TYPE_OF = {label: kind for kind, labels in _TYPES.items() for label in labels}
"""The type of a checkpoint's label (in small letters); other labels are not looked at."""


@dataclass(frozen=True)
class _Model:
    """One checkpoint with what answers for it."""

    tuned: Tuned
    task: TokenClassification
    scorer: Scorer

    def spans(self, sentences: Sequence[str]) -> list[list[tuple[str, int, int, float]]]:
        """(label, start, end, confidence) of the entities of each sentence."""
        from sixfold.tasks.texts import Texts

        units = [_units(sentence, single=self.task.characters) for sentence in sentences]
        some = [place for place, one in enumerate(units) if one]
        cells = [[sentences[place][a:b] for a, b in units[place]] for place in some]
        out: list[list[tuple[str, int, int, float]]] = [[] for _ in sentences]
        if not cells:
            return out
        on_long = "window" if self.tuned.on_long == "error" else self.tuned.on_long
        examples = self.task.encode(Texts({"words": cells}), self.tuned.tokenizer, self.tuned.limit, on_long).examples
        for place, answer in zip(some, self.task.predict(self.scorer, examples), strict=True):
            for (label, first, last), confidence in zip(answer.entities, answer.confidences, strict=True):
                span = units[place][first].start, units[place][last - 1].end
                out[place].append((label, *span, float(confidence)))
        return out


@dataclass(frozen=True)
class NameFinder:
    """Finds names sentence by sentence. Of two checkpoints, the one on characters reads Chinese, the other the rest.

    Attributes:
        models: one or two.
    """

    models: tuple[_Model, ...]

    @classmethod
    def load(cls, *folders: str | Path) -> NameFinder:
        """Read checkpoints that ``finetune`` wrote for ``entities``.

        Raises:
            UsageError: none or more than two, or two for the same language.
            ModelError: one is no such checkpoint, or has no label for people, places or organisations.
        """
        from sixfold.score.tuned import task_of
        from sixfold.tasks.token_classification import TokenClassification

        if not 1 <= len(folders) <= 2:
            raise UsageError("names are found by one checkpoint, or one for Chinese and one for the rest")
        for folder in map(Path, folders):
            task = task_of(folder)
            if not isinstance(task, TokenClassification):
                raise ModelError("names are found by a checkpoint for entities", where=folder, found=task.name)
            kinds = sorted({label[2:] for label in task.labels if label != "O"})
            if not any(kind.lower() in TYPE_OF for kind in kinds):
                raise ModelError(
                    "the checkpoint knows no people, places or organisations", where=folder, found=", ".join(kinds)
                )
        models = tuple(_loaded(Path(folder)) for folder in folders)
        if len(models) == 2 and models[0].task.characters == models[1].task.characters:
            raise UsageError("two checkpoints for names must differ: one on characters, for Chinese, and one on words")
        return cls(models)

    def entities(self, text: str, spans: Sequence[Span]) -> list[Entity]:
        """The names in some sentences of a text, in order, with places in the text."""
        found: list[Entity] = []
        for model in self.models:
            own = [span for span in spans if self._for(model, text[span.start : span.end])]
            for span, names in zip(own, model.spans([text[a:b] for a, b in own]), strict=True):
                for label, start, end, confidence in names:
                    if (kind := TYPE_OF.get(label.lower())) is not None:
                        reason = f"name: {label} by the checkpoint {model.tuned.folder.name}"
                        found.append(Entity(span.start + start, span.start + end, kind, confidence, reason))
        return sorted(found, key=lambda one: one.start)

    def _for(self, model: _Model, sentence: str) -> bool:
        return len(self.models) == 1 or model.task.characters == has_han(sentence)


def _loaded(folder: Path) -> _Model:
    from sixfold.score.scorer import Scorer
    from sixfold.score.tuned import load_tuned

    tuned = load_tuned(folder)
    task: Any = tuned.task
    return _Model(tuned, task, Scorer(tuned.model))


def _units(sentence: str, *, single: bool) -> list[Span]:
    if single:
        return [Span(place, place + 1) for place, one in enumerate(sentence) if not one.isspace()]
    return words(sentence)
