"""What a training step costs with each of the dials that make a model steadier, beside a plain step.

    python bench/adversarial_cost.py sst2_glue --steps 40

Every dial learns from the same steps on a model of its own; the dials take turns after each step, in another order
each time, so that whatever else the machine does falls on all of them alike. A ratio is the median over the steps of
the dial's seconds by the plain step's; its range holds the middle half of them.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine
from sixfold.data.batching import Indices, Steps
from sixfold.data.examples import Examples
from sixfold.models import load
from sixfold.models.forward import can_pack
from sixfold.models.heap import heap_kept
from sixfold.stages.exchanges import swaps_of
from sixfold.stages.rows import DataConfig, prepare_rows
from sixfold.stages.shared_words import sharing_of
from sixfold.tasks.masking import MaskToken
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.adversarial import work
from sixfold.train.config import TrainConfig
from sixfold.train.learner import Alone
from sixfold.train.optimiser import learning_rate, micro_tokens
from sixfold.train.words import Words

PLAIN = "plain"
DIALS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "noise 5": {"noise": 5.0},
    "mixup 0.2": {"mixup": 0.2},
    "mask_share 0.3": {"mask_share": 0.3},
    "r_drop 1": {"r_drop": 1.0},
    "fgm": {"adversarial": {"method": "fgm"}},
    "pgd, 3 steps": {"adversarial": {"method": "pgd", "steps": 3}},
    "freelb, 2 passes": {"adversarial": {"method": "freelb", "steps": 2}},
    "freelb, 3 passes": {"adversarial": {"method": "freelb", "steps": 3}},
    "hotflip": {"adversarial": {"method": "hotflip"}},
    "hotflip, 2 gradients": {"adversarial": {"method": "hotflip", "steps": 2}},
    "synonym_encoding": {"synonym_encoding": True},
}


def seconds(args: argparse.Namespace, stack: ExitStack) -> tuple[dict[str, list[float]], int]:
    """Of each step, by dial, and the tokens of all of them."""
    config = DataConfig(source=args.data, allow=["overlaps", "unseen"], split={"validation": 0.1}, limit=args.limit)
    task = TextClassification()
    prepared = prepare_rows(config, task.columns, seed=args.seed)
    rows = prepared.rows["train"]
    task = task.learn(rows)
    loaded = load(args.base, task.head(), seed=args.seed, attention_dropout=0.0, new_head=True)
    examples = task.encode(rows, loaded.tokenizer, loaded.tokenizer.model_max_length, "truncate").examples
    languages, size = prepared.described["languages"]["train"], loaded.model.get_input_embeddings().num_embeddings
    words = Words(
        swaps_of(rows, loaded.tokenizer, languages), sharing_of(rows, examples, loaded.tokenizer, languages, size)
    )
    needs = Needs(MaskToken.of(loaded.tokenizer), words)
    learners = {
        name: learner(copy.deepcopy(loaded.model).train(), task, examples, needs, args, dials)
        for name, dials in DIALS.items()
    }
    for one in learners.values():
        stack.callback(one.release)
    plain = learners[PLAIN]
    budget = int(micro_tokens(plain.model, plain.config, packed=True).value)  # type: ignore[call-overload]
    steps = Steps(examples.lengths, args.batch, budget, args.seed, can_pack(plain.model))
    assert steps.per_epoch > args.steps, f"{len(examples)} rows are {steps.per_epoch} steps"
    order = np.random.default_rng(args.seed)
    spent: dict[str, list[float]] = {name: [] for name in DIALS}
    tokens = 0
    for number, micro in enumerate(steps.epoch(0)):
        if number > args.steps:
            break
        for name in order.permutation(list(DIALS)):
            took = timed(learners[name], micro, (args.seed, 0, number))
            if number:  # in the first, kernels and memory are got ready
                spent[name].append(took)
        tokens += sum(int(examples.lengths[part].sum()) for part in micro) if number else 0
    return spent, tokens


class Needs(NamedTuple):
    """What some dials need of the tokenizer and of the rows."""

    mask: MaskToken
    words: Words


def learner(
    model: Any, task: TextClassification, examples: Examples, needs: Needs, args: argparse.Namespace, dials: Any
) -> Alone:
    config = TrainConfig(batch=args.batch, precision="bf16" if args.bf16 else "fp32", **dials)
    rate = float(learning_rate(model, config).value)  # type: ignore[arg-type]
    mask = needs.mask if config.mask_share else None
    words = Words(
        needs.words.swaps if config.exchanges_words else None, needs.words.sharing if config.synonym_encoding else None
    )
    return Alone(model, task, examples, config, rate=rate, autocast=args.bf16, mask=mask, words=words)


def timed(one: Alone, micro: list[Indices], position: tuple[int, int, int]) -> float:
    begun = time.perf_counter()
    assert one.learn(micro, position, 1e-5).finite
    return time.perf_counter() - begun


def told(args: argparse.Namespace, spent: dict[str, list[float]], tokens: int) -> None:
    """The table for docs/results.md."""
    plain = np.array(spent[PLAIN])
    print(
        f"\n{args.base} on {args.data}: {args.steps} steps of {args.batch} rows, "
        f"{tokens / args.steps:,.0f} tokens a step, seed {args.seed}, "
        f"{'bf16' if args.bf16 else 'fp32'}, {torch.get_num_threads()} threads; {machine()}\n"
    )
    print("| dial | seconds a step | of a plain step | middle half | by passes |")
    print("| --- | --- | --- | --- | --- |")
    for name, dials in DIALS.items():
        found = np.array(spent[name])
        low, middle, high = np.quantile(found / plain, [0.25, 0.5, 0.75])
        passes = work(TrainConfig.model_validate(dials)) / work(TrainConfig())
        print(f"| {name} | {np.median(found):.3f} | {middle:.2f} | {low:.2f} to {high:.2f} | {passes:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data")
    parser.add_argument("--base", default="minilm-l6")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--limit", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    with ExitStack() as stack:
        stack.enter_context(heap_kept())
        spent, tokens = seconds(args, stack)
    told(args, spent, tokens)


if __name__ == "__main__":
    main()
