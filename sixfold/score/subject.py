"""A fine-tuned checkpoint that searches ask about variants of a text: from edits to tokens, from answers to logits.

How a text's tokens are spliced is in ``edited.py`` and ``worded.py``; how a checkpoint is read, in ``tuned.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import ModelError
from sixfold.perturb.words import Edit, Sentence, applied
from sixfold.score.cache import Cache, Identity
from sixfold.score.driver import Query
from sixfold.score.edited import Ids, Splicer, Tokens
from sixfold.score.scorer import Precision, Scorer
from sixfold.score.tuned import Tuned, load_tuned
from sixfold.score.voter import Voter
from sixfold.score.worded import WordSplicer, WordTokens
from sixfold.tasks.encoding import Frame, frame, pieces, row_numbers
from sixfold.tasks.masking import Voting
from sixfold.tasks.text_classification import TextClassification
from sixfold.tasks.texts import Texts
from sixfold.tasks.token_classification import TokenClassification

if TYPE_CHECKING:
    from sixfold.models.load import Loaded
    from sixfold.tasks.contract import OnLong, Rows

CACHE_BYTES = 2**28


def answering(
    model: Any,
    tokenizer: Any,
    digest: str,
    voting: Voting | None,
    *,
    precision: Precision = "fp32",
    cache: Cache | None = None,
) -> Scorer:
    """What answers for a checkpoint: its model, or the vote that it was saved with, which caches nothing.

    Args:
        digest: names the weights.
    """
    identity = Identity(digest)
    if voting is not None:
        return Voter(model, voting, tokenizer, precision=precision, identity=identity)
    return Scorer(model, precision=precision, cache=cache, identity=identity)


@dataclass(frozen=True)
class Text:
    """A text that a subject is asked about.

    Attributes:
        sentence: the string and its words; of a row of words, the string that they make, each a word of it.
        tokens: its tokens, and those of variants.
    """

    sentence: Sentence
    tokens: Tokens | WordTokens

    @property
    def is_words(self) -> bool:
        return isinstance(self.tokens, WordTokens)

    def edited(self, edits: Sequence[Edit]) -> str | list[str]:
        """The text after edits as a user would give it: a string, or a row's words."""
        if isinstance(self.tokens, WordTokens):
            return self.tokens.edited(edits)
        return applied(self.sentence.text, edits)


@dataclass(frozen=True)
class Subject:
    """A model with its task, asked about variants of texts.

    Attributes:
        task: knows labels and temperature.
        scorer: answers the searches' queries; another model with the same task and tokenizer may take its place.
        tokenizer: the checkpoint's.
        limit: tokens an example may have.
        on_long: what happens to a longer text.
        digest: names the checkpoint.
        columns: role to column, as the training file had them.
        folder: where the checkpoint lies.
        frame: the special tokens around a text.
        splicer: knows the tokenizer.
    """

    task: TextClassification | TokenClassification
    scorer: Scorer
    tokenizer: Any
    limit: int
    on_long: OnLong
    digest: str
    columns: Mapping[str, str]
    folder: Path
    frame: Frame
    splicer: Splicer | WordSplicer

    @classmethod
    def load(cls, folder: str | Path, *, precision: Precision = "fp32", cache_bytes: int = CACHE_BYTES) -> Subject:
        """Read a checkpoint that ``finetune`` wrote.

        Args:
            precision: of the searches' queries; whether a lower one is of use, ``score/rough.py`` measures.
            cache_bytes: bound of the answers that are kept.

        Raises:
            ModelError: it is no fine-tuned checkpoint, is damaged, or its task cannot be searched.
        """
        return cls._made(load_tuned(Path(folder)), precision, cache_bytes)

    @classmethod
    def of(
        cls,
        loaded: Loaded,
        folder: Path,
        *,
        precision: Precision = "fp32",
        cache_bytes: int = CACHE_BYTES,
    ) -> Subject:
        """As ``load``, of a model that was loaded from the folder already. Its weights must not change."""
        return cls._made(Tuned.of(loaded, folder), precision, cache_bytes)

    @classmethod
    def _made(cls, found: Tuned, precision: Precision, cache_bytes: int) -> Subject:
        task, cache = found.task, Cache(cache_bytes)
        if isinstance(task, TextClassification):
            splicer: Splicer | WordSplicer = Splicer(found.tokenizer)
        elif isinstance(task, TokenClassification):
            splicer = WordSplicer(found.tokenizer, spaced=not task.characters, shapes=task.shapes)
        else:
            raise ModelError(f"variants of a text cannot be asked about for the task {task.name}", where=found.folder)
        return cls(
            task=task,
            scorer=answering(
                found.model, found.tokenizer, found.digest, found.voting, precision=precision, cache=cache
            ),
            tokenizer=found.tokenizer,
            limit=found.limit,
            on_long=found.on_long,
            digest=found.digest,
            columns=found.columns,
            folder=found.folder,
            frame=frame(found.tokenizer),
            splicer=splicer,
        )

    def text(self, text: str) -> Text:
        """A text to classify.

        Raises:
            DataError: it is longer than the model takes, and the checkpoint refuses long texts.
        """
        assert isinstance(self.splicer, Splicer), "a row of words is needed: words()"
        tokens = Tokens.of(text, self.splicer)
        self._check_length(len(tokens.ids))
        return Text(Sentence.of(text), tokens)

    def words(self, words: Sequence[str]) -> Text:
        """A row of words to tag. Every word is one of the sentence, marks too, so that places are the row's.

        Raises:
            DataError: as ``text``.
        """
        assert isinstance(self.splicer, WordSplicer), "a text is needed: text()"
        tokens = WordTokens.of(words, self.splicer)
        self._check_length(int(tokens.lengths.sum()))
        return Text(tokens.sentence, tokens)

    def _check_length(self, tokens: int) -> None:
        pieces([tokens], self.limit, self.frame, self.on_long)

    @property
    def _on_long(self) -> OnLong:
        """What happens to a variant that has become too long: a search cannot be refused half-way."""
        return "truncate" if self.on_long == "error" else self.on_long

    def query(self, text: Text, variants: Sequence[Sequence[Edit]]) -> Query:
        """What the model says of variants of a text; no edits are the text as it is.

        A variant that has become too long is cut as the checkpoint cuts long texts; where it refuses them, its start
        is kept.
        """
        return Query(self.examples(text, variants), self.task.question())

    def examples(self, text: Text, variants: Sequence[Sequence[Edit]]) -> Examples:
        """The variants encoded as the task encodes them; ``row`` says which variant an example is of."""
        if isinstance(text.tokens, Tokens):
            return self._of_strings(text.tokens.each(variants))
        room = self.limit - len(self.frame)
        found = text.tokens.each(variants, self.frame, room)
        if found is None:
            return self._encoded([text.tokens.edited(edits) for edits in variants])
        return found

    def _of_strings(self, rows: Sequence[Ids]) -> Examples:
        parts, _ = pieces([len(row) for row in rows], self.limit, self.frame, self._on_long)
        before, after = (np.array(ids, dtype=np.int32) for ids in (self.frame.before, self.frame.after))
        runs = [run for part in parts for run in (before, rows[part.row][part.start : part.end], after)]
        laid = Ragged.of(runs)
        return Examples({"input_ids": Ragged(laid.values, laid.offsets[::3]), "row": row_numbers(parts)})

    def encoded(self, rows: Rows) -> Examples:
        """Rows as the task reads them, targets too where they have some. A text that is refused elsewhere is cut."""
        return self.task.encode(rows, self.tokenizer, self.limit, self._on_long).examples

    def _encoded(self, given: Sequence[Any]) -> Examples:
        role = next(column.role for column in self.task.columns if not column.target)
        return self.encoded(Texts({role: list(given)}))

    def predicted(self, given: Sequence[Any]) -> list[Any]:
        """The task's predictions for texts, or for rows of words."""
        return list(self.task.predict(self.scorer, self._encoded(given))) if len(given) else []

    def logits(self, text: Text, query: Query, answers: Sequence[NDArray]) -> NDArray[np.float64]:
        """[variants, classes], or [variants, words, tags]: the answers to a query of ``query``."""
        return np.stack(self._joined(answers, query.examples))

    def _joined(self, answers: Sequence[NDArray], examples: Examples) -> list[NDArray[np.float64]]:
        if isinstance(self.task, TokenClassification):
            return self.task.joined(answers, examples)[0]
        return list(self.task.joined(answers, examples))

    def probabilities(self, logits: NDArray) -> NDArray[np.float64]:
        """The same shape, after the task's temperature."""
        return self.task.probabilities(logits)

    def whole(self, given: Sequence[str] | Sequence[Sequence[str]]) -> list[NDArray[np.float64]]:
        """The logits of each string ([classes]) or row of words ([words, tags]), encoded from scratch, in fp32."""
        examples = self._encoded(given)
        return self._joined(self.scorer.bare().ask(examples, self.task.question()), examples)
