"""Where events go besides the screen: TensorBoard scalars, and a JSON-lines log that the report's curves come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sixfold.train.events import Choice, Evaluated, Event, Saved, Started, Step


def tracked(events: Iterable[Event], folder: Path) -> Iterator[Event]:
    """The same events, each noted in ``folder/events.jsonl`` and as TensorBoard scalars in ``folder/tensorboard``.

    A resumed run drops what an earlier process noted of the steps that are done again.
    """
    from torch.utils.tensorboard import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "events.jsonl"
    with ExitStack() as stack:
        writer: Any = None
        file: Any = None
        for event in events:
            if isinstance(event, Started):
                kept = [line for line in read(log) if line.get("step", 0) <= event.first_step]
                log.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
                # by lines: a step has to stand here before its state is saved, whenever the process is killed
                file = stack.enter_context(log.open("a", buffering=1, encoding="utf-8"))
                writer = SummaryWriter(str(folder / "tensorboard"), purge_step=event.first_step + 1)
                stack.callback(writer.close)
            file.write(json.dumps(_plain(event)) + "\n")
            for name, value in _scalars(event).items():
                writer.add_scalar(name, value, event.step)  # type: ignore[union-attr]
            yield event


def read(log: Path) -> list[dict[str, Any]]:
    """The lines of an event log; a last line that a crash cut short is left out. Empty when there is no log."""
    if not log.exists():
        return []
    lines = log.read_text(encoding="utf-8").splitlines()
    out = []
    for number, line in enumerate(lines):
        try:
            out.append(json.loads(line))
        except ValueError:
            if number < len(lines) - 1:
                raise
    return out


def _plain(event: Event) -> dict[str, Any]:
    values = asdict(event)
    if isinstance(event, Saved):
        values["path"] = event.path.name
    if isinstance(event, Started):
        values["choices"] = [_choice(choice) for choice in event.choices]
    return {"event": type(event).__name__.lower(), **values}


def _choice(choice: Choice) -> dict[str, Any]:
    return {"name": choice.name, "value": choice.value, "reason": choice.reason}


def _scalars(event: Event) -> dict[str, float]:
    if isinstance(event, Step):
        terms = {f"train/{name}": value for name, value in event.terms.items()} if len(event.terms) > 1 else {}
        return {
            "train/loss": event.loss,
            **terms,
            "train/learning_rate": event.learning_rate,
            "train/grad_norm": event.grad_norm,
            "speed/tokens_per_second": event.tokens / event.seconds,
        }
    if isinstance(event, Evaluated):
        return {f"validation/{name}": value for name, value in event.scores.items()}
    return {}
