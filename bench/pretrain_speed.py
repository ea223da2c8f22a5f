"""Tokens a second of pretraining against the Hugging Face Trainer, in turns on one machine.

    SIXFOLD_DATA=... python bench/pretrain_speed.py masked_lm
    SIXFOLD_DATA=... python bench/pretrain_speed.py causal_lm

Both sides start from one checkpoint: ``masked_lm`` goes on from minilm-l6 with a fresh head, ``causal_lm`` trains a
small Llama of random weights. They see the same documents (sentences of the Brown corpus) once, AdamW, the same peak
rate, schedule and clipping, the same share of hidden tokens, and about the same number of tokens a step. The Trainer
runs twice: a document an example, padded (``stock``), and documents laid end to end in blocks (``tuned``), which
pads nothing. The loss on held-out documents is computed by one function for all.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.finetune_speed import PEER
from bench.sides import Side, machine, peer_python, take_turns

HERE = Path(__file__).parent
CONTEXT = {"masked_lm": 128, "causal_lm": 256}
SHARE = 0.3
_LAYERS = re.compile(r"\.(layer|layers)\.")


def task_of(objective: str) -> Any:
    from sixfold.tasks.causal_lm import CausalLM
    from sixfold.tasks.masked_lm import MaskedLM

    return MaskedLM(SHARE, whole_words=False) if objective == "masked_lm" else CausalLM()


def prepare(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write the checkpoint, the documents' texts, and their token ids for the peer."""
    import os

    from datasets import Dataset

    from sixfold.models import load, save, sizes
    from sixfold.models.scratch import decoder
    from sixfold.models.tokenizer_training import train_tokenizer

    lines = [
        line
        for path in sorted((Path(os.environ["SIXFOLD_DATA"]) / "brown_text").glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    lines = lines[:: max(1, len(lines) // args.documents)][: args.documents]
    held = lines[::20]
    train = [line for place, line in enumerate(lines) if place % 20]
    task = task_of(args.objective)
    context = CONTEXT[args.objective]
    if args.objective == "masked_lm":
        loaded = load("minilm-l6", task.head(), seed=args.seed, new_head=True)
        model, tokenizer = loaded.model, loaded.tokenizer
    else:
        tokenizer = train_tokenizer(train, "bpe", vocabulary=8000, use="decoder")
        tokenizer.model_max_length = context
        shape, _ = sizes.shape("decoder", "small", context=context)
        model = decoder(shape, tokenizer, seed=args.seed)
    save(model, tokenizer, folder / "checkpoint", {}, extra_config=None)
    encoded = task.fitted(tokenizer).encode(Dataset.from_dict({"text": train}), tokenizer, context, "window")
    ids = encoded.examples.ragged("input_ids")
    with (folder / "ids").open("w", encoding="utf-8") as file:
        for start, end in zip(ids.offsets[:-1].tolist(), ids.offsets[1:].tolist(), strict=True):
            file.write(json.dumps({"ids": ids.values[start:end].tolist()}) + "\n")
    for name, texts in (("train", train), ("held", held)):
        (folder / name).write_text(json.dumps(texts), encoding="utf-8")
    body = sum(p.numel() for n, p in model.named_parameters() if p.ndim == 2 and _LAYERS.search(n))
    head = len(tokenizer) * model.config.hidden_size
    matrices = body + round(head * (SHARE if args.objective == "masked_lm" else 1))
    return {"tokens": int(ids.lengths.sum()), "rows": len(ids), "matrices": matrices}


def worker(args: argparse.Namespace) -> None:
    """Sixfold's side: takes turns like the peer."""
    import time

    from datasets import Dataset

    from sixfold.data.packing import best_fit
    from sixfold.models import load, save
    from sixfold.train.config import TrainConfig
    from sixfold.train.events import Started, Step
    from sixfold.train.loop import fit

    task = task_of(args.objective)
    loaded = load(args.checkpoint, task.head(), attention_dropout=0.0)
    task = task.fitted(loaded.tokenizer)
    texts = json.loads(Path(args.train).read_text(encoding="utf-8"))
    limit = CONTEXT[args.objective]
    examples = task.encode(Dataset.from_dict({"text": texts}), loaded.tokenizer, limit, "window").examples
    config = TrainConfig(epochs=1, batch=args.batch, learning_rate=args.rate, precision="bf16" if args.bf16 else "fp32")
    left, start, steps = 0, 0.0, 0

    def wait() -> None:
        nonlocal left, start
        left, start = int(sys.stdin.readline().split()[1]), time.perf_counter()

    groups = best_fit(examples.lengths, limit)
    for event in fit(loaded.model, task, examples, config, seed=args.seed, groups=groups):
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
    save(loaded.model, loaded.tokenizer, Path(args.out), {}, extra_config=None)
    print(json.dumps({"done": True}), flush=True)


def held_out_loss(args: argparse.Namespace, checkpoint: Path, held: list[str]) -> float:
    from datasets import Dataset

    from sixfold.models import load
    from sixfold.score.scorer import Scorer

    task = task_of(args.objective)
    loaded = load(checkpoint, task.head())
    task = task.fitted(loaded.tokenizer)
    rows = Dataset.from_dict({"text": held})
    examples = task.encode(rows, loaded.tokenizer, CONTEXT[args.objective], "window").examples
    return float(task.scores(task.predict(Scorer(loaded.model), examples), rows)["loss"])


def compare(args: argparse.Namespace) -> None:
    python = peer_python("trainer", PEER)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        facts = prepare(args, folder)
        context = CONTEXT[args.objective]
        common = ["--checkpoint", str(folder / "checkpoint"), "--objective", args.objective, "--seed", str(args.seed)]
        common += ["--rate", str(args.rate), *(["--bf16"] if args.bf16 else [])]
        own = [
            sys.executable,
            __file__,
            "worker",
            *common,
            "--train",
            str(folder / "train"),
            "--batch",
            str(args.batch),
        ]
        peer = [str(python), str(HERE / "peers" / "trainer_pretraining.py"), *common, "--share", str(SHARE)]
        peer += ["--ids", str(folder / "ids"), "--context", str(context)]
        rows = max(1, round(args.batch * context * facts["rows"] / facts["tokens"]))
        sides = [
            Side("Sixfold", [*own, "--out", str(folder / "sixfold")]),
            Side("Trainer, stock", [*peer, "--rows", str(rows), "--out", str(folder / "stock")]),
            Side("Trainer, tuned", [*peer, "--rows", str(args.batch), "--blocks", "--out", str(folder / "tuned")]),
        ]
        peaks = take_turns(sides)
        peak = statistics.median(peaks)
        held = json.loads((folder / "held").read_text(encoding="utf-8"))
        print(
            f"\n{args.objective}: {facts['tokens']:,} tokens in {facts['rows']:,} documents, {args.batch * context:,} a"
            f" step, seed {args.seed}, {'bf16' if args.bf16 else 'fp32'}; {machine()}\n"
            f"fp32 matrix peak between turns: median {peak / 1e9:.0f} GFLOP/s; "
            f"{facts['matrices']:,} matrix parameters a token, the vocabulary's where a target needs them\n"
        )
        print("| side | steps | seconds | tokens/s | Sixfold is | share of the peak | held-out loss |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for side in sides:
            speed = facts["tokens"] / side.seconds
            out = Path(side.command[side.command.index("--out") + 1])
            print(
                f"| {side.name} | {side.steps} | {side.seconds:.1f} | {speed:,.0f} "
                f"| {side.seconds / sides[0].seconds:.2f}x | {6 * facts['matrices'] * speed / peak:.0%} "
                f"| {held_out_loss(args, out, held):.4f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        parser.add_argument("worker")
        for name in ("checkpoint", "train", "objective", "out"):
            parser.add_argument(f"--{name}", required=True)
    else:
        parser.add_argument("objective", choices=list(CONTEXT))
        parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=16, help="blocks of the context a step")
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    worker(args) if hasattr(args, "worker") else compare(args)


if __name__ == "__main__":
    main()
