"""How many answers end by themselves: the held-out questions of a converse run, asked again in several ways.

    python bench/stop_rate.py RUN

The run's own figure is of greedy answers, which may fall into a loop. Here the same questions are asked as
``sixfold chat`` asks by default, greedily, and greedily with words that were said made less likely.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine
from sixfold.commands.predict import checkpoint_of
from sixfold.generate.requests import Sampling, asked, whole
from sixfold.generate.torch_engine import TorchEngine
from sixfold.metrics.intervals import proportion
from sixfold.models import load
from sixfold.models.head import Head
from sixfold.tasks.chat_template import ChatTemplate

WAYS = {
    "greedy": Sampling(),
    "as chat asks (temperature 0.7, top-p 0.9)": Sampling(temperature=0.7, top_p=0.9, seed=13),
    "greedy, repetition penalty 1.1": Sampling(repetition_penalty=1.1),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--tokens", type=int, default=128)
    args = parser.parse_args()
    checkpoint = checkpoint_of(args.run)
    results = json.loads((checkpoint.parent / "results.json").read_text(encoding="utf-8"))
    questions = [one["messages"] for one in results["dialogue"]["answers"] if one["kind"] == "held-out"]
    loaded = load(checkpoint, Head("causal_lm"))
    template, engine = ChatTemplate(loaded.tokenizer), TorchEngine(loaded.model, loaded.tokenizer)
    print(f"{len(questions)} held-out questions, {args.tokens} tokens at most; {machine()}\n")
    print("| asked | end by themselves |\n| --- | --- |")
    for name, sampling in WAYS.items():
        requests = [asked(template, one, args.tokens, sampling=sampling.of(n)) for n, one in enumerate(questions)]
        ended = sum(one.finish == "stop" for one in whole(engine, requests))
        told = proportion(name, ended, len(questions)).to_dict()
        print(f"| {name} | {ended} [{100 * told['low']:.1f}, {100 * told['high']:.1f}] % |", flush=True)


if __name__ == "__main__":
    main()
