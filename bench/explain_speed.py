"""Seconds a text of explainers against lime, shap and captum, in turns: same weights, texts, numbers of samples.

    SIXFOLD_DATA=... python bench/explain_speed.py ag CHECKPOINT --examples 24

Each peer runs twice, as its documentation shows and tuned (``peers/explainer_turns.py``). All sides explain the
likeliest class in units of the peer's own: words for lime, tokens for the others. Every side's weights are then judged
by one measure: comprehensiveness with tokens masked, and words left out for lime. The longest texts are kept whole, so
that the model reads the same. Gradients take the same number of points on both sides.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import Slicer, machine, peer_python, take_slices

HERE = Path(__file__).parent
PEER = ("torch==2.13.0", "transformers==5.24.0", "lime==0.2.0.1", "shap==0.51.0", "captum==0.9.0", "numpy<2.5")
SAMPLES = {
    "lime": 1_000,
    "shap-permutation": 500,
    "shap-partition": 500,
    "shap-kernel": 500,
    "integrated-gradients": 50,
}


def plan_of(method: str, samples: int) -> Any:
    from sixfold.explain.run import Plan
    from sixfold.explain.subjects import View

    view = View() if method == "lime" else View(by="subwords", filling="mask")
    return Plan((method,), view, samples=samples)


def worker(args: argparse.Namespace) -> None:
    """Sixfold's side."""
    from dataclasses import replace

    from sixfold.explain import inside, methods
    from sixfold.explain.run import explain
    from sixfold.score.scorer import Scorer
    from sixfold.score.subject import Subject

    same_points = partial(inside.integrated_gradients, first=args.samples)
    methods.METHODS["integrated-gradients"] = replace(methods.METHODS["integrated-gradients"], explain=same_points)
    texts = json.loads(Path(args.texts).read_text(encoding="utf-8"))
    subject = Subject.load(args.checkpoint)
    plan = plan_of(args.method, args.samples)
    made = None if args.precision == "fp32" else lowered(subject, texts, args.precision)
    explain(subject, texts[:1], plan)
    print(json.dumps({"ready": len(texts)}), flush=True)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        subject = Subject.load(args.checkpoint)  # nothing is known from earlier slices
        if made is not None:
            subject = replace(subject, scorer=Scorer(made, precision=args.precision, budget=subject.scorer.budget))
        begun = time.perf_counter()
        found = explain(subject, texts[start:end], plan)
        seconds = time.perf_counter() - begun
        told = [
            {
                "label": subject.task.labels.index(one.label),
                "spans": [[*span, weight] for span, weight in zip(one.spans, one.attributions[0].weights, strict=True)],
            }
            for one in found
        ]
        ledger = vars(subject.scorer.ledger)
        print(json.dumps({"slice": [start, end], "seconds": seconds, "found": told, "ledger": ledger}), flush=True)


def lowered(subject: Any, texts: list[str], precision: str) -> Any:
    """The model that answers, made before the clock starts: once for a checkpoint."""
    from sixfold.score.rough import model_at
    from sixfold.tasks.texts import Texts

    examples = subject.task.encode(Texts({"text": texts}), subject.tokenizer, subject.limit, "truncate").examples
    return model_at(subject.scorer.model, precision, examples)


def comprehensiveness(subject: Any, texts: list[str], found: list[Any], method: str) -> tuple[float, float]:
    """The mean AOPC of comprehensiveness and sufficiency of a side's weights, on our units."""
    import numpy as np

    from sixfold.explain.faithfulness import measured
    from sixfold.explain.subjects import games
    from sixfold.score.driver import drive

    view = plan_of(method, 1).view

    def judged(text: str, one: Any) -> Any:
        (game,) = yield from games(subject, text, view)
        weights = np.zeros(len(game))
        for start, end, weight in one["spans"]:
            for unit, (first, last) in enumerate(game.units.spans):
                if start < last and first < end:
                    weights[unit] += weight * (min(end, last) - max(start, first)) / (end - start)
        return (yield from measured(game, [weights], np.random.default_rng(0)))

    searches = (judged(text, one) for text, one in zip(texts, found, strict=True))
    results = [result.of[0][0].aopc for _, result in drive(searches, {"subject": subject.scorer})]
    comprehensive, sufficient = np.mean(results, axis=0)
    return float(comprehensive), float(sufficient)


def compare(args: argparse.Namespace) -> None:
    from sixfold.commands.predict import checkpoint_of
    from sixfold.score.subject import Subject

    python = peer_python("explainers", PEER)
    checkpoint = checkpoint_of(Path(args.checkpoint))
    subject = Subject.load(checkpoint)
    path = Path(os.environ["SIXFOLD_DATA"]) / "textfooler_1k" / args.data
    texts = [line.strip().partition(" ")[2] for line in path.read_text(encoding="utf-8").splitlines()]
    texts = [text for text in texts if len(subject.tokenizer(text)["input_ids"]) <= subject.limit][: args.examples]
    print(f"{len(texts):,} texts of {args.data}, {args.slices} slices; {machine()}\n")
    print("| explainer | side | s/text | Sixfold is | comprehensiveness | sufficiency | same class |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for method in args.methods:
        samples = SAMPLES[method]
        with tempfile.TemporaryDirectory() as work:
            file = Path(work) / "texts"
            file.write_text(json.dumps(texts), encoding="utf-8")
            common = ["--checkpoint", str(checkpoint), "--texts", str(file), "--method", method]
            common += ["--samples", str(samples)]
            peer = [str(python), str(HERE / "peers" / "explainer_turns.py"), *common, "--limit", str(subject.limit)]
            sides = [
                Slicer("Sixfold", [sys.executable, __file__, "worker", *common]),
                *(
                    Slicer(f"Sixfold, {each}", [sys.executable, __file__, "worker", *common, "--precision", each])
                    for each in args.precisions
                ),
                Slicer("peer, as documented", peer),
                Slicer("peer, tuned", [*peer, "--tuned"]),
            ]
            take_slices(sides, len(texts), args.slices)
        own = [one["label"] for one in sides[0].all("found")]
        for side in sides:
            found = side.all("found")
            comprehensive, sufficient = comprehensiveness(subject, texts, found, method)
            same = sum(one["label"] == label for one, label in zip(found, own, strict=True))
            figures = f"{comprehensive:.3f} | {sufficient:.3f} | {same} of {len(texts)}"
            ratio = side.seconds / sides[0].seconds
            print(
                f"| {method} | {side.name} | {side.seconds / len(texts):.3f} | {ratio:.2f}x | {figures} |", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    if len(sys.argv) > 1 and sys.argv[1] == "worker":
        parser.add_argument("worker")
        for name in ("checkpoint", "texts", "method"):
            parser.add_argument(f"--{name}", required=True)
        parser.add_argument("--samples", type=int, required=True)
        parser.add_argument("--precision", default="fp32")
    else:
        parser.add_argument("data", choices=["ag", "mr", "imdb"])
        parser.add_argument("checkpoint")
        parser.add_argument("--examples", type=int, default=24)
        parser.add_argument("--slices", type=int, default=3)
        parser.add_argument("--precisions", nargs="*", default=[], help="of Sixfold, besides fp32: compiled, bf16")
        parser.add_argument("--methods", nargs="*", choices=list(SAMPLES), default=list(SAMPLES))
    args = parser.parse_args()
    worker(args) if hasattr(args, "worker") else compare(args)


if __name__ == "__main__":
    main()
