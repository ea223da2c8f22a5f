"""Trainings that ``test_train_many.py`` does in one process and, by running this file under torchrun, in several.

    torchrun --nproc-per-node 3 tests/several.py FOLDER

In ``FOLDER/by-one`` lie states that one process saved. What the processes find goes into ``FOLDER/found.json``, what
they learnt into ``FOLDER/CASE.safetensors``. Nothing here asserts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from toy_tasks import Contrastive, MaskedAndOrder
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
)

from sixfold.data.examples import Examples, Ragged
from sixfold.data.packing import best_fit
from sixfold.errors import SixfoldError
from sixfold.recipe import parse, run
from sixfold.tasks.causal_lm import CausalLM
from sixfold.tasks.masked_lm import MaskedLM
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.config import TrainConfig
from sixfold.train.events import Evaluated, Event, Step
from sixfold.train.loop import Evaluate, fit
from sixfold.train.many import follow
from sixfold.train.processes import joined
from sixfold.train.torchrun import started

WORDS = 40
LABELS = ("a", "b", "c")


@dataclass(frozen=True)
class Case:
    """One training."""

    model: Callable[[], Any]
    task: Any
    examples: Examples
    train: TrainConfig
    groups: Ragged | None = None
    evaluate: Evaluate | None = None

    def events(self, model: Any, folder: Path | None = None, stop_at: int | None = None) -> Iterator[Event]:
        """Train the model; a state in ``folder`` is gone on from, and one is saved there after step ``stop_at``."""
        done: list[int] = [0]
        events = fit(
            model,
            self.task,
            self.examples,
            self.train,
            seed=7,
            groups=self.groups,
            folder=folder,
            evaluate=self.evaluate,
            stop=lambda: done[-1] == stop_at,
        )
        for event in events:
            if isinstance(event, Step):
                done.append(event.step)
            yield event


def encoder(*, frozen: bool = False, dropout: float = 0.0) -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    model = BertForSequenceClassification(BertConfig(**sizes, **rates, vocab_size=WORDS, num_labels=len(LABELS)))
    model.base_model.requires_grad_(not frozen)
    return model


def padded() -> DistilBertForSequenceClassification:
    """Of a family that is not packed."""
    torch.manual_seed(0)
    sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": WORDS, "num_labels": len(LABELS)}
    return DistilBertForSequenceClassification(
        DistilBertConfig(**sizes, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    )


def decoder() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = LlamaConfig(**sizes, vocab_size=WORDS, num_key_value_heads=1, tie_word_embeddings=True, pad_token_id=0)
    return LlamaForCausalLM(config)


def masked() -> ModernBertForMaskedLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    marks = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
    return ModernBertForMaskedLM(ModernBertConfig(**sizes, **marks, vocab_size=WORDS, local_attention=8))


def texts(count: int) -> Examples:
    """Texts of 3 to 18 tokens; nearly a third of the vocabulary occurs in none. Token 5, 6 or 7 tells the label."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, len(LABELS), count)
    runs = [[1, 5 + int(label), *draw.integers(8, 30, draw.integers(0, 16)), 2] for label in labels]
    kinds = [[2, *[1] * (len(run) - 2), 2] for run in runs]
    columns = {"input_ids": Ragged.of(runs), "kind": Ragged.of(kinds, dtype=np.uint8)}
    return Examples({**columns, "label": labels, "row": np.arange(count)})


def train(**changes: Any) -> TrainConfig:
    return TrainConfig(**{"epochs": 2, "batch": 8, "learning_rate": 2e-3, "precision": "fp32", **changes})


def wavering(model: torch.nn.Module) -> dict[str, float]:
    """A score whose best is neither the first nor the last."""
    moved = float(model.get_parameter("classifier.bias").abs().sum())
    return {"macro_f1": -abs(moved - 0.01), "loss": moved}


DOCUMENTS = texts(40)
LABEL = TextClassification(labels=LABELS)

# 26 texts, 8 a step: in an epoch's last step some of three processes have nothing to do.
CASES = {
    "blocks": Case(decoder, CausalLM(), DOCUMENTS, train(batch=4), best_fit(DOCUMENTS.lengths, 24)),
    "labels": Case(encoder, LABEL, texts(26), train(evaluations=2), evaluate=wavering),
    "padded": Case(padded, LABEL, texts(26), train()),
    "head alone": Case(lambda: encoder(frozen=True), LABEL, texts(26), train(train_base=False)),
    "two passes": Case(encoder, LABEL, texts(26), train(r_drop=1.0)),
    "micro-batches": Case(
        decoder, CausalLM(), DOCUMENTS, train(batch=4, micro_tokens=20), best_fit(DOCUMENTS.lengths, 24)
    ),
    "masks": Case(masked, MaskedLM(mask_id=3), texts(24), train(micro_tokens=20)),
}
RESUMED = ("blocks", "labels")
STOPPED_AT = 3


CLOSE = 1e-5
PATIENCE = 600
"""Seconds; a busy machine needs minutes for what takes it twelve seconds alone."""


def torchrun(count: int, *command: object) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return [*launcher, *map(str, command)]


def same(found: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether steps, as ``steps`` gives them, differ by rounding only, which norms have more of."""
    (numbers, losses, norms), (others, *expected_of) = (zip(*events, strict=True) for events in (found, expected))
    close = np.allclose(losses, expected_of[0], rtol=0, atol=CLOSE) and np.allclose(norms, expected_of[1], atol=1e-3)
    return numbers == others and close


def alike(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> bool:
    """Whether weights differ by rounding only.

    A key's bias changes no attention: its gradient is rounding alone, which AdamW makes as large as any other.
    """
    names = {name for name in expected if not name.endswith("key.bias")}
    close = (torch.allclose(found[name], expected[name], rtol=0, atol=CLOSE) for name in names)
    return found.keys() == expected.keys() and all(close)


def steps(events: Iterable[Event]) -> list[tuple[int, float, float]]:
    """Number, loss and the gradient's norm of each step."""
    return [(event.step, event.loss, event.grad_norm) for event in events if isinstance(event, Step)]


def scores(events: Iterable[Event]) -> list[tuple[int, dict[str, float], bool]]:
    return [(event.step, event.scores, event.best) for event in events if isinstance(event, Evaluated)]


def refused(work: Callable[[], Any]) -> str:
    try:
        work()
    except SixfoldError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def refusals(folder: Path) -> dict[str, str]:
    """What several processes do not do, and what they say."""
    case = CASES["labels"]

    def trained(**changes: Any) -> str:
        return refused(lambda: list(replace(case, **changes).events(encoder())))

    def ran(**dials: Any) -> str:
        """Of a recipe whose second stage has these dials, and whose text is not there."""
        stages = [
            {"pretrain": {"name": name, "corpus": {"source": "nowhere.txt"}, "train": given}}
            for name, given in (("first", {}), ("second", dials))
        ]
        return refused(lambda: run(parse({"name": "refused", "stages": stages}), runs=folder / "runs"))

    return {
        "muon": ran(optimiser="muon"),
        "a small step": ran(batch=2),
        "a small step, derived": trained(train=train(batch=2)),
        "a whole batch": trained(task=Contrastive()),
        "a task from elsewhere": trained(task=MaskedAndOrder()),
        "no number": trained(train=train(learning_rate=1e30), evaluate=None),
    }


def main(folder: Path) -> None:
    if started()[0]:
        follow()
        return
    found: dict[str, Any] = {"steps": {}, "scores": {}}
    with joined():
        found["refused"] = refusals(folder)
        for name, case in CASES.items():
            model = case.model()
            events = list(case.events(model))
            found["steps"][name], found["scores"][name] = steps(events), scores(events)
            save_file(dict(model.named_parameters()), folder / f"{name}.safetensors")
        for name in RESUMED:
            case = CASES[name]
            list(case.events(case.model(), folder / "by-several" / name, STOPPED_AT))
            found["steps"][f"{name}, by one before"] = steps(case.events(case.model(), folder / "by-one" / name))
        dropping = replace(CASES["labels"], model=lambda: encoder(dropout=0.3))
        found["steps"]["dropout"] = steps(dropping.events(dropping.model()))
        for stop_at in (STOPPED_AT, None):
            events = list(dropping.events(dropping.model(), folder / "dropout", stop_at))
            found["steps"].setdefault("dropout, stopped", []).extend(steps(events))
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
