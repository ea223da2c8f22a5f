"""Tokens a second of fine-tuning against the Hugging Face Trainer, in turns on one machine.

    python bench/finetune_speed.py banking77 --epochs 1
    python bench/finetune_speed.py conll2003_en --epochs 1

Both sides start from one checkpoint (same head), see the same rows with the same number of rows a step, the same
peak learning rate, schedule, weight decay and clipping, in fp32. The Trainer runs three times: as its defaults are
(``stock``), with batches grouped by length (``tuned``), and also without attention dropout (``tuned, no attention
dropout``), since Sixfold leaves that out too. Scores are computed by one function from predictions on validation.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import Side, machine, peer_python, take_turns

PEER = ("torch>=2.9,<2.14", "transformers==5.23.0", "accelerate==1.15.0", "datasets==5.2.0", "numpy")
HERE = Path(__file__).parent


def prepare(name: str, folder: Path, seed: int, limit: int | None) -> dict[str, Any]:
    """Write rows, labels and the checkpoint that both sides start from."""
    from sixfold.models import load, save
    from sixfold.stages.rows import DataConfig, prepare_rows
    from sixfold.tasks.registry import task_class

    task_name = "token_classification" if "conll" in name else "text_classification"
    task: Any = task_class(task_name)()
    config = DataConfig(source=name, allow=["overlaps", "unseen"], split={"validation": 0.1}, limit=limit)
    rows = prepare_rows(config, task.columns, seed=seed).rows
    task = task.learn(rows["train"])
    loaded = load("minilm-l6", task.head(), seed=seed)
    save(loaded.model, loaded.tokenizer, folder / "checkpoint", {}, extra_config=None)
    keys = ("words", "tags") if task_name == "token_classification" else ("text", "label")
    tokens = {}
    for split in ("train", "validation"):
        encoded = task.encode(rows[split], loaded.tokenizer, loaded.tokenizer.model_max_length, "truncate")
        tokens[split] = int(encoded.examples.lengths.sum())
        lines = (
            json.dumps({key: row[key] for key in keys}, ensure_ascii=False) for row in _bio(rows[split], task_name)
        )
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "labels.json").write_text(json.dumps(task.labels), encoding="utf-8")
    linear = sum(p.numel() for n, p in loaded.model.named_parameters() if p.ndim == 2 and "embeddings" not in n)
    return {"task": task_name, "labels": task.labels, "tokens": tokens, "matrix_parameters": linear}


def _bio(rows: Any, task: str) -> Any:
    """Rows with tags as BIO, which both sides learn."""
    from sixfold.metrics.tagging import spans, tags_of

    for row in rows:
        yield {**row, "tags": tags_of(spans(row["tags"]), len(row["tags"]))} if task == "token_classification" else row


def worker(args: argparse.Namespace) -> None:
    """Sixfold's side: takes turns like the peer."""
    import time

    from datasets import Dataset

    from sixfold.models import load
    from sixfold.score.scorer import Scorer
    from sixfold.tasks.registry import task_class
    from sixfold.train.config import TrainConfig
    from sixfold.train.events import Started, Step
    from sixfold.train.loop import fit

    labels = tuple(json.loads(Path(args.labels).read_text(encoding="utf-8")))
    task: Any = task_class(args.task)(labels=labels)
    read = {
        split: Dataset.from_list([json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()])
        for split, path in (("train", args.train), ("validation", args.validation))
    }
    loaded = load(args.checkpoint, task.head(), attention_dropout=0.0)
    limit = loaded.tokenizer.model_max_length
    encoded = {split: task.encode(rows, loaded.tokenizer, limit, "truncate").examples for split, rows in read.items()}
    config = TrainConfig(
        epochs=args.epochs, batch=args.batch, learning_rate=args.rate, precision="bf16" if args.bf16 else "fp32"
    )
    left, start = 0, 0.0

    def wait() -> None:
        nonlocal left, start
        left, start = int(sys.stdin.readline().split()[1]), time.perf_counter()

    steps = 0
    for event in fit(loaded.model, task, encoded["train"], config, seed=args.seed):
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
    from sixfold.metrics.calibration import softmax

    predictions = task.predict(Scorer(loaded.model), encoded["validation"])
    with Path(args.out).open("w", encoding="utf-8") as file:
        for prediction in predictions:
            # plain arg-max on both sides: this compares training, not decoding
            table = softmax(prediction.logits)
            best = table.argmax(-1)
            answer = [labels[b] for b in best] if args.task == "token_classification" else labels[int(best)]
            file.write(json.dumps(answer) + "\n")
    print(json.dumps({"done": True}), flush=True)


def score(task: str, gold: Path, predicted: Path) -> float:
    """Entity F1, or accuracy."""
    from sixfold.metrics import entities

    rows = [json.loads(line) for line in gold.read_text(encoding="utf-8").splitlines()]
    answers = [json.loads(line) for line in predicted.read_text(encoding="utf-8").splitlines()]
    if task == "text_classification":
        return statistics.fmean(row["label"] == answer for row, answer in zip(rows, answers, strict=True))
    short = sum(len(row["tags"]) - len(answer) for row, answer in zip(rows, answers, strict=True))
    assert short == 0, f"{short} words were cut away"
    return entities.evaluate([row["tags"] for row in rows], answers, seed=0).f1.value


def compare(args: argparse.Namespace) -> None:
    python = peer_python("trainer", PEER)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        facts = prepare(args.data, folder, args.seed, args.limit)
        common = [
            *("--checkpoint", str(folder / "checkpoint"), "--train", str(folder / "train.jsonl")),
            *("--validation", str(folder / "validation.jsonl"), "--labels", str(folder / "labels.json")),
            *("--task", facts["task"], "--batch", str(args.batch), "--epochs", str(args.epochs)),
            *("--rate", str(args.rate), "--seed", str(args.seed), *(["--bf16"] if args.bf16 else [])),
        ]
        peer = [str(python), str(HERE / "peers" / "trainer.py"), *common]
        sides = [
            Side("sixfold", [sys.executable, __file__, "worker", *common, "--out", str(folder / "sixfold")]),
            Side("Trainer, stock", [*peer, "--out", str(folder / "stock")]),
            Side("Trainer, tuned", [*peer, "--out", str(folder / "tuned"), "--group-by-length"]),
            Side(
                "Trainer, tuned, no attention dropout",
                [*peer, "--out", str(folder / "nodrop"), "--group-by-length", "--no-attention-dropout"],
            ),
        ]
        sides = [side for side in sides if not args.only or side.name in args.only]
        peaks = take_turns(sides)
        told(args, facts, sides, peaks, folder)


def told(args: argparse.Namespace, facts: dict[str, Any], sides: list[Side], peaks: list[float], folder: Path) -> None:
    """The table for docs/results.md."""
    tokens = facts["tokens"]["train"] * args.epochs
    flops = 6 * facts["matrix_parameters"]
    peak = statistics.median(peaks)
    print(
        f"\n{args.data}: {tokens:,.0f} tokens, {args.batch} rows a step, seed {args.seed}, "
        f"{'bf16' if args.bf16 else 'fp32'}; {machine()}"
    )
    print(
        f"fp32 matrix peak between turns: median {peak / 1e9:.0f}, "
        f"{min(peaks) / 1e9:.0f} to {max(peaks) / 1e9:.0f} GFLOP/s\n"
    )
    print("| side | seconds | tokens/s | sixfold is | share of the peak | score |")
    print("| --- | --- | --- | --- | --- | --- |")
    ours = sides[0]
    for side in sides:
        speed = tokens / side.seconds
        result = score(facts["task"], folder / "validation.jsonl", Path(side.command[side.command.index("--out") + 1]))
        print(
            f"| {side.name} | {side.seconds:.1f} | {speed:,.0f} | {side.seconds / ours.seconds:.2f}x | "
            f"{speed * flops / peak:.0%} | {result:.4f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        parser.add_argument("worker")
        for name in ("checkpoint", "train", "validation", "labels", "task", "out"):
            parser.add_argument(f"--{name}", required=True)
    else:
        parser.add_argument("data", choices=["banking77", "conll2003_en"])
        parser.add_argument("--limit", type=int)
        parser.add_argument("--only", nargs="*")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    worker(args) if hasattr(args, "worker") else compare(args)


if __name__ == "__main__":
    main()
