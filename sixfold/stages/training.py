"""What every stage that trains does alike: where it runs, and what its results say of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sixfold.data.examples import Examples
from sixfold.stages.context import Context
from sixfold.train.config import TrainConfig
from sixfold.train.events import Started
from sixfold.train.optimiser import learning_rate
from sixfold.train.tracking import read as read_events


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def quicker(train: TrainConfig, model: Any, times: float) -> TrainConfig:
    """The dials for an adapter: few numbers from nothing learn faster than a whole model that moves a little.

    Args:
        times: how many times a whole model's learning rate, unless the recipe sets one.
    """
    if train.learning_rate is not None:
        return train
    rate = times * float(learning_rate(model, train).value)  # type: ignore[arg-type]
    return train.model_copy(update={"learning_rate": rate})


def quantiles(examples: Examples) -> dict[str, int]:
    lengths = np.sort(examples.lengths)
    shares = {"shortest": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "longest": 1.0}
    return {name: int(lengths[int(share * (len(lengths) - 1))]) for name, share in shares.items()}


def headline(result: dict[str, Any]) -> str:
    """An evaluation's metrics in one line. Some have no value: the precision of a model that finds nothing."""
    return "  ".join(f"{metric['name']} {_measured(metric)}" for metric in result["metrics"].values())


def _measured(metric: dict[str, Any]) -> str:
    if metric["value"] is None:
        return "undefined"
    if metric["low"] is None or metric["high"] is None:
        return f"{metric['value']:.4f}"
    return f"{metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"


def training_results(context: Context) -> dict[str, Any]:
    """What the event log says of the run."""
    events = read_events(context.training / "events.jsonl")
    steps = [event for event in events if event["event"] == "step"]
    tokens, padded = (sum(step[name] for step in steps) for name in ("tokens", "padded_tokens"))
    seconds = sum(step["seconds"] for step in steps)
    stopped = [event for event in events if event["event"] == "stopped"][-1]
    started = [event for event in events if event["event"] == Started.__name__.lower()][-1]
    return {
        "steps": [{**step, "tokens_per_second": step["tokens"] / step["seconds"]} for step in steps],
        "evaluations": [{**event, "metrics": event["scores"]} for event in events if event["event"] == "evaluated"],
        "best_step": stopped["best_step"],
        "reason": stopped["reason"],
        "choices": started["choices"],
        "seconds": seconds,
        "tokens": tokens,
        "padded_tokens": padded - tokens,
    }
