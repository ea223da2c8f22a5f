"""A progress bar with the time left, in a terminal and in Jupyter; plain lines where neither is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sixfold.text.counting import counted
from sixfold.train.events import Evaluated, Event, Renewed, Started, Step, Stopped

PLAIN_LINES = 10
"""Lines a run prints where there is no bar to draw."""


def shown(events: Iterable[Event], console: Console) -> Iterator[Event]:
    """The same events, shown as they pass."""
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    )
    live = console.is_terminal or console.is_jupyter
    with Progress(*columns, console=console, transient=True, disable=not live) as progress:
        bar = progress.add_task("training", total=None, told="")
        steps = 0
        for event in events:
            if isinstance(event, Started):
                steps = event.steps
                for choice in event.choices:
                    console.print(f"  [dim]{choice.name}: [/][cyan]{_value(choice.value)}[/] [dim]({choice.reason})[/]")
                if event.first_step:
                    console.print(f"  resumed after step {event.first_step:,} of {steps:,}")
                progress.update(bar, total=steps, completed=event.first_step)
            elif isinstance(event, Step):
                speed = event.tokens / event.seconds
                told = f"loss {event.loss:.4f}  {speed:,.0f} tokens/s"
                progress.update(bar, completed=event.step, told=told)
                if not live and event.step % max(1, steps // PLAIN_LINES) == 0:
                    console.print(f"  step {event.step:,} of {steps:,}: {told}")
            elif isinstance(event, Renewed):
                console.print(f"  epoch {event.epoch + 1}: {_renewed(event)}")
            elif isinstance(event, Evaluated):
                scores = "  ".join(f"{name} {value:.4f}" for name, value in event.scores.items())
                console.print(f"  epoch {event.epoch:.2f}: {scores}{'  [green]best[/]' if event.best else ''}")
            elif isinstance(event, Stopped):
                console.print(f"  {_ending(event)}")
            yield event


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _renewed(event: Renewed) -> str:
    again = f"; {counted(event.again, 'given one')} seen again in place of more" if event.again else ""
    return f"{counted(event.made, 'example')} made in {event.seconds:.0f} s{again}"


def _ending(event: Stopped) -> str:
    why = {
        "done": "all steps done",
        "early": "no better score within the patience",
        "interrupted": "stopped by Ctrl-C; the state is saved, the same command goes on from here",
    }[event.reason]
    kept = "" if event.best_score is None else f"; weights of step {event.best_step:,} kept"
    return f"step {event.step:,}: {why}{kept}"
