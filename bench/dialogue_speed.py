"""Tokens a second of dialogue tuning (LoRA) against TRL's SFTTrainer, in turns on one machine.

    python bench/dialogue_speed.py
    python bench/dialogue_speed.py --precision fp32
    SIXFOLD_DATA=... python bench/dialogue_speed.py --data oasst_zh --limit 100

All sides start from smollm2-135m, learn from the same conversations, of which those over TRL's default of 1,024 tokens
are left out, and take the same share of them a step, with low-rank updates of the same rank on every matrix of every
layer, AdamW, the same peak rate, schedule, weight decay and clipping. TRL runs twice: as it is shipped (8 conversations
a batch, padded, checkpointed gradients, bf16), and ``tuned``: packed in blocks, nothing recomputed, in Sixfold's
precision, with as many tokens a step. Both learn the assistant's turns alone, with the token that ends each; what each
side learns is compared token for token. The loss on held-out conversations is computed by one function for all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import Side, machine, peer_python, take_turns

HERE = Path(__file__).parent
PEER = (
    "torch>=2.9,<2.14",
    "transformers==5.24.0",
    "trl==1.16.0",
    "peft==0.21.2",
    "accelerate==1.15.0",
    "datasets==5.2.0",
    "numpy",
)
BASE = "smollm2-135m"
SOURCES = {
    "bank_desk_en": None,
    "bank_desk_zh": None,
    "alpaca_en_demo": "llamafactory_demo/alpaca_en_demo.json",
    "oasst_zh": "oasst_zh/oaast_sft_zh.json",
}
"""Where in ``SIXFOLD_DATA``; None for the sets of our own."""
BLOCK = 1024
"""TRL's default ``max_length``."""


def encode(rows: Sequence[dict[str, Any]]) -> Any:
    """Conversations as Sixfold learns them."""
    from datasets import Dataset

    from sixfold.models import load
    from sixfold.tasks.dialogue import Dialogue

    tokenizer = load(BASE, Dialogue().head()).tokenizer
    limit = tokenizer.model_max_length
    return Dialogue().encode(Dataset.from_list(list(rows)), tokenizer, limit, "window").examples


def prepare(args: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """The conversations that all sides learn from, and those held out."""
    import os

    from sixfold.data.conversations import THREAD
    from sixfold.stages.rows import DataConfig, prepare_rows
    from sixfold.tasks.dialogue import Dialogue

    place = SOURCES[args.data]
    config = DataConfig(
        source=args.data if place is None else Path(os.environ["SIXFOLD_DATA"]) / place,
        group=THREAD,
        split={"test": 0.2},
        limit=args.limit,
        on_bad="drop",
    )
    found = prepare_rows(config, Dialogue().columns, seed=args.seed).rows
    out: dict[str, list[dict[str, Any]]] = {}
    for split in ("train", "test"):
        rows = [{"messages": messages} for messages in found[split]["messages"]]
        if split == "test":
            rows = rows[: args.held]
        examples = encode(rows)
        tokens = Counter(dict.fromkeys(range(len(rows)), 0))
        for row, length in zip(examples.dense("row").tolist(), examples.lengths.tolist(), strict=True):
            tokens[row] += length
        out[split] = [rows[row] for row, count in tokens.items() if 0 < count <= BLOCK]
        print(f"{split}: {len(out[split])} of {len(rows)} conversations have an answer and at most {BLOCK:,} tokens")
    return out


def worker(args: argparse.Namespace) -> None:
    """Sixfold's side: takes turns like the peer."""
    import time

    from sixfold.models import adapters, load
    from sixfold.tasks.dialogue import Dialogue
    from sixfold.train.config import TrainConfig
    from sixfold.train.events import Started, Step
    from sixfold.train.loop import fit

    task = Dialogue()
    loaded = load(BASE, task.head())
    model, lora = loaded.model, adapters.Lora(args.rank, 2 * args.rank)
    adapters.add(model, lora, seed=args.seed, head=False)
    lines = Path(args.train).read_text(encoding="utf-8").splitlines()
    examples = encode([json.loads(line) for line in lines])
    config = TrainConfig(epochs=args.epochs, batch=args.batch, learning_rate=args.rate, precision=args.precision)
    left, start, steps = 0, 0.0, 0

    def wait() -> None:
        nonlocal left, start
        left, start = int(sys.stdin.readline().split()[1]), time.perf_counter()

    for event in fit(model, task, examples, config, seed=args.seed):
        if isinstance(event, Started):
            steps = event.steps
            print(json.dumps({"ready": steps}), flush=True)
            wait()
        elif isinstance(event, Step):
            left -= 1
            if left == 0 or event.step == steps:
                print(json.dumps({"step": event.step, "seconds": time.perf_counter() - start}), flush=True)
                if event.step < steps:
                    wait()
    out = Path(args.out)
    out.mkdir()
    adapters.save(model, lora, out, base=BASE, base_digest=loaded.digest, kept={})
    facts = {"precision": args.precision, "conversations": conversations(examples)}
    (out / "learnt.json").write_text(json.dumps(facts), encoding="utf-8")
    print(json.dumps({"done": True}), flush=True)


def conversations(examples: Any) -> list[dict[str, list[int]]]:
    """Token ids of each conversation, and the places of them that are learnt. A first token never is."""
    ids, learnt = examples.ragged("input_ids"), examples.ragged("learnt")
    return [
        {
            "ids": ids.values[start:end].tolist(),
            "learnt": [place for place, asked in enumerate(learnt.values[start:end].tolist()) if place and asked],
        }
        for start, end in zip(ids.offsets[:-1].tolist(), ids.offsets[1:].tolist(), strict=True)
    ]


def held_out_loss(examples: Any, adapter: Path | None) -> float:
    """A learnt token's, of the base or with an adapter, by Sixfold's scorer in fp32."""
    from sixfold.models import adapters, load
    from sixfold.score.scorer import Scorer
    from sixfold.tasks.dialogue import Dialogue
    from sixfold.tasks.text_loss import summary

    task = Dialogue()
    model = load(BASE, task.head()).model
    if adapter is not None:
        adapters.load(model, adapter, base_digest=None)  # the peer's says nothing of its base's weights
        adapters.merge(model)
    return summary(task.predict(Scorer(model), examples))["loss"]


def compare(args: argparse.Namespace) -> None:
    import torch

    from sixfold.models.resolve import resolve
    from sixfold.train.config import TrainConfig
    from sixfold.train.optimiser import precision

    python = peer_python("trl", PEER)
    if args.precision == "auto":
        args.precision = str(precision(TrainConfig(), torch.device("cpu")).value)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        rows = prepare(args)
        train = folder / "train.jsonl"
        lines = (json.dumps({"messages": _plain(row["messages"])}, ensure_ascii=False) for row in rows["train"])
        train.write_text("\n".join(lines) + "\n", encoding="utf-8")
        lengths = encode(rows["train"]).lengths
        blocks = max(1, round(args.batch * float(lengths.mean()) / BLOCK))
        common = ["--train", str(train), "--epochs", str(args.epochs), "--rank", str(args.rank)]
        common += ["--rate", str(args.rate), "--seed", str(args.seed)]
        own = [sys.executable, __file__, "worker", *common, "--batch", str(args.batch), "--precision", args.precision]
        peer = [str(python), str(HERE / "peers" / "trl_turns.py"), *common, "--base", str(resolve(BASE).folder)]
        tuned = [*peer, "--precision", args.precision, "--block", str(BLOCK), "--rows", "1", "--accumulate"]
        sides = [
            Side("Sixfold", [*own, "--out", str(folder / "sixfold")]),
            Side("TRL, as shipped", [*peer, "--out", str(folder / "stock")]),
            Side("TRL, tuned", [*tuned, str(blocks), "--out", str(folder / "tuned")]),
        ]
        sides = [side for side in sides if not args.only or side.name in args.only]
        peaks = take_turns(sides)
        told(args, sides, peaks, encode(rows["test"]), blocks)


def _plain(messages: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Turns as both sides read them."""
    assert not any(one.get("tool_calls") for one in messages), "calls of tools are not compared"
    return [{"role": one["role"], "content": one["content"] or ""} for one in messages]


def told(args: argparse.Namespace, sides: list[Side], peaks: list[float], held: Any, blocks: int) -> None:
    """The table for docs/results.md."""
    outs = [Path(side.command[side.command.index("--out") + 1]) for side in sides]
    facts = [json.loads((out / "learnt.json").read_text(encoding="utf-8")) for out in outs]
    ours = Counter(map(_key, facts[0]["conversations"]))
    print(
        f"\n{args.data}: {ours.total()} conversations, {len(held)} held out, {args.epochs} epochs, {args.batch} a step "
        f"(tuned: {blocks} blocks of {BLOCK:,} tokens), rank {args.rank}, seed {args.seed}; {machine()}\n"
        f"{', '.join(PEER[1:5])}\n"
        f"fp32 matrix peak between turns: median {statistics.median(peaks) / 1e9:.0f}, "
        f"{min(peaks) / 1e9:.0f} to {max(peaks) / 1e9:.0f} GFLOP/s; held-out loss of the base: "
        f"{held_out_loss(held, None):.4f}\n"
    )
    print(
        "| side | precision | steps | seconds | trained tokens/s | all tokens/s | Sixfold is "
        "| conversations as ours, token for token | held-out loss |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    rates = []
    for side, out, fact in zip(sides, outs, facts, strict=True):
        some = fact["conversations"]
        trained, tokens = (args.epochs * sum(len(one[key]) for one in some) for key in ("learnt", "ids"))
        rates.append(trained / side.seconds)
        same = (Counter(map(_key, some)) & ours).total()
        print(
            f"| {side.name} | {fact['precision']} | {side.steps} | {side.seconds:.1f} | {rates[-1]:,.1f} "
            f"| {tokens / side.seconds:,.1f} | {rates[0] / rates[-1]:.2f}x | {same} of {ours.total()} "
            f"| {held_out_loss(held, out):.4f} |"
        )


def _key(one: dict[str, list[int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(one["ids"]), tuple(one["learnt"])


def main() -> None:
    parser = argparse.ArgumentParser()
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        parser.add_argument("worker")
        for name in ("train", "out"):
            parser.add_argument(f"--{name}", required=True)
    else:
        parser.add_argument("--data", choices=list(SOURCES), default="bank_desk_en")
        parser.add_argument("--limit", type=int, help="conversations to learn from")
        parser.add_argument("--held", type=int, help="most conversations held out")
        parser.add_argument("--only", nargs="*", help="names of sides; the first is what the others are held against")
    parser.add_argument("--batch", type=int, default=8, help="conversations a step; 8 is TRL's default")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto")
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    worker(args) if hasattr(args, "worker") else compare(args)


if __name__ == "__main__":
    main()
