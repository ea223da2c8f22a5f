"""Which head a task wants on a base model. Putting it on is in ``load.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

HeadKind = Literal[
    "none",
    "embedding",
    "text_classification",
    "token_classification",
    "sentence_order",
    "question_answering",
    "masked_lm",
    "causal_lm",
    "seq2seq_lm",
]

LABELLED = ("text_classification", "token_classification", "sentence_order")
"""Heads with one output a label."""

SENTENCE_ORDER = ("in order", "swapped")

MAPPINGS = {
    "none": "MODEL_MAPPING",
    "embedding": "MODEL_MAPPING",
    "text_classification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "token_classification": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING",
    "sentence_order": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "question_answering": "MODEL_FOR_QUESTION_ANSWERING_MAPPING",
    "masked_lm": "MODEL_FOR_MASKED_LM_MAPPING",
    "causal_lm": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "seq2seq_lm": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
}
"""The table of transformers that gives the class for a head, by the configuration's class."""


@dataclass(frozen=True)
class Head:
    """The head a task needs.

    Attributes:
        kind: which one. ``none`` and ``embedding`` are the base model itself.
        labels: what each output means, in order. Empty for a labelled kind means the checkpoint's own labels;
            it is an error when it has none.
        multi_label: whether several labels can be right at once (a sigmoid each instead of one softmax).
    """

    kind: HeadKind
    labels: tuple[str, ...] = ()
    multi_label: bool = False

    def __post_init__(self) -> None:
        assert self.kind in get_args(HeadKind), f"no such head: {self.kind!r}"
        assert len(set(self.labels)) == len(self.labels), f"a label occurs twice: {self.labels}"
        assert not self.labels or self.kind in LABELLED, f"a {self.kind} head has no labels"
        if self.kind == "sentence_order" and not self.labels:
            object.__setattr__(self, "labels", SENTENCE_ORDER)
