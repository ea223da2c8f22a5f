"""``sixfold attack CHECKPOINT --data SOURCE --attack NAME``: attack a fine-tuned model, keep the texts, write a report.

The attacks themselves are in ``sixfold/attack``; what the page shows, in ``report/robustness.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sixfold.commands.importing import uncollected
from sixfold.commands.predict import checkpoint_of
from sixfold.commands.runs import folder_name
from sixfold.data.one_split import one_split
from sixfold.data.partition import digest
from sixfold.errors import UsageError, unknown
from sixfold.fetch.folders import PRIVATE, replacing, write_text
from sixfold.models import is_local, lineage
from sixfold.report import show
from sixfold.report.blocks import Page
from sixfold.report.page import write
from sixfold.report.robustness import robustness_sections
from sixfold.text.counting import counted

if TYPE_CHECKING:
    import datasets

    from sixfold.attack.building import Attack
    from sixfold.attack.goals import Goal
    from sixfold.attack.outcome import Outcome
    from sixfold.attack.similarity import Encoder
    from sixfold.score.subject import Subject

EXAMPLES = 1_000
"""Rows attacked unless another number is given; all if there are fewer."""
BUDGET = 2_000
"""Queries an example unless another number is given."""
WEIGHED = 64
"""Rows on which a lower precision is weighed against fp32."""
HEADER = "attack.json"
REPORT = "report.html"
ENCODER = "minilm-l6"
"""The sentence encoder unless another is named. It reads English."""
PLAIN_SECONDS = 20.0
"""Where nothing can be drawn live, a long attack says so often how far it is."""


Precision = Literal["fp32", "auto", "bf16", "int8"]


@dataclass(frozen=True)
class Plan:
    """What is to be attacked, and how.

    Attributes:
        source: labelled rows.
        attacks: names, each once.
        split: ``test`` if there is one, else the first.
        words: a masked language model, for the attacks that need one.
        encoder: a sentence encoder; the usual one for English attacks, if it is here.
        precision: of the searches; what they find is confirmed in fp32. A lower one is taken where it is found to pay.
    """

    checkpoint: str | Path
    source: Any
    attacks: tuple[str, ...]
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    goal: str | None = None
    target: str | None = None
    bound: float | None = None
    examples: int | None = EXAMPLES
    budget: int | None = BUDGET
    seed: int = 0
    words: str | None = None
    encoder: str | None = None
    entity_words: bool = False
    precision: Precision = "fp32"


@dataclass(frozen=True)
class Prepared:
    """Everything that attacks need.

    Attributes:
        rows: usable rows, columns named by the task's roles.
        encoder: measures the finished texts; None where none reads their language.
        rough: the subject at a lower precision, if that was asked for and pays; ``why`` says so.
    """

    subject: Subject
    goal: Goal
    rows: datasets.Dataset
    split: str
    encoder: Encoder | None
    attacks: tuple[Attack, ...]
    rough: Subject | None = None
    why: str = ""

    @property
    def precision(self) -> str:
        """Of the searches."""
        return "fp32" if self.rough is None else self.rough.scorer.precision

    def spent(self) -> dict[str, float]:
        """What was asked so far, and what it took."""
        ledgers = [asdict(one.scorer.ledger) for one in (self.subject, self.rough) if one is not None]
        return {name: sum(ledger[name] for ledger in ledgers) for name in ledgers[0]}


@dataclass(frozen=True)
class Attacked:
    """What attacks left: ``header`` is the content of ``attack.json``."""

    header: dict[str, Any]
    outcomes: list[Outcome]


def run(plan: Plan, out: Path | None = None, *, console: Console | None = None) -> Path:
    """Attack, print what came of it, and write ``outcomes.jsonl``, ``attack.json`` and ``report.html``.

    Args:
        out: the folder; ``attacks/NAME`` unless given. An earlier attack there is replaced.

    Returns:
        the folder.

    Raises:
        UsageError: a name, number or folder that does not fit.
        DataError: the rows cannot be used.
        ModelError: the checkpoint cannot be attacked.
        SixfoldError: a word list or a model that is needed is not on this machine.
        StorageError: nothing could be written.
    """
    console = console or Console()
    folder = out or Path("attacks") / folder_name("-".join([_run_name(plan.checkpoint), *plan.attacks]))
    if folder.exists() and not (folder / HEADER).is_file():
        raise UsageError("there is something else in this folder", where=folder, hint="name another: --out FOLDER")
    prepared = prepare(plan)
    console.print(f"  {_told(prepared, plan)}", style="dim")
    if prepared.why:
        console.print(f"  searches ask in {prepared.precision}: {prepared.why}", style="dim")
    done = attacked(prepared, plan, console)
    save(done, folder)
    console.print(table(done.header))
    return folder


def prepare(plan: Plan) -> Prepared:
    """Check everything that was asked for, and load what it takes. Errors as for ``run``."""
    with uncollected():
        from sixfold.attack.attacks import ATTACKS, named
        from sixfold.attack.budget import check_budget
        from sixfold.attack.goals import goal_for
        from sixfold.score.subject import Subject
    if not plan.attacks:
        raise UsageError("no attack was named", hint=f"--attack, one of: {', '.join(ATTACKS)}")
    for name in plan.attacks:
        if name not in ATTACKS:
            raise unknown("attack", name, ATTACKS)
    check_budget(plan.budget)
    if plan.precision not in get_args(Precision):
        raise unknown("precision", plan.precision, get_args(Precision))
    if plan.examples is not None and plan.examples < 1:
        raise UsageError("an attack needs at least 1 example", found=plan.examples)
    subject = Subject.load(checkpoint_of(Path(plan.checkpoint)))
    goal = goal_for(subject.task, plan.goal, target=plan.target, bound=plan.bound)
    encoder = _encoder(plan, english=any("en" in ATTACKS[name].languages for name in plan.attacks))
    words = None if plan.words is None else checkpoint_of(Path(plan.words))
    attacks = tuple(named(name, words=words, encoder=encoder or ENCODER) for name in dict.fromkeys(plan.attacks))
    _check_fit(subject, attacks)
    split, rows = one_split(
        plan.source,
        subject.task.columns,
        split=plan.split,
        usual=subject.columns,
        given=plan.columns,
        encoding=plan.encoding,
        allow=["one_class", "unseen", "overlaps"],
    )
    prepared = Prepared(subject, goal, rows, split, encoder, attacks)
    return prepared if plan.precision == "fp32" else _lowered(prepared, plan)


def _lowered(prepared: Prepared, plan: Plan) -> Prepared:
    """The same, with searches at a lower precision if that pays on some of the rows."""
    from sixfold.score.rough import roughly

    assert plan.precision != "fp32"
    subject = prepared.subject
    some = prepared.rows.select(range(min(WEIGHED, plan.examples or WEIGHED, len(prepared.rows))))
    examples = subject.task.encode(some, subject.tokenizer, subject.limit, "truncate").examples
    searched = min(plan.examples or len(prepared.rows), len(prepared.rows))
    rough, why = roughly(subject, examples, plan.precision, searched=searched)
    return replace(prepared, rough=rough, why=why)


def _encoder(plan: Plan, *, english: bool) -> Encoder | None:
    """The encoder that was named; or the usual one, which reads English alone, if it is here."""
    from sixfold.attack.similarity import Encoder

    if plan.encoder is None and not (english and is_local(ENCODER)):
        return None
    return Encoder.load(plan.encoder or ENCODER)


def _check_fit(subject: Subject, attacks: Sequence[Attack]) -> None:
    for how in attacks:
        if subject.task.name == "token_classification" and not how.one_for_one:
            raise UsageError(
                f"the attack {how.name!r} makes one word of several: the right tags would be lost",
                hint="choose one that changes word by word, such as deepwordbug",
            )


def attacked(prepared: Prepared, plan: Plan, console: Console) -> Attacked:
    """Run the attacks one after the other, and show what happens."""
    from sixfold.attack.summary import summary, worst_case

    told, by_attack = [], {}
    for how in prepared.attacks:
        before, start = prepared.spent(), time.perf_counter()
        found = list(_watched(prepared, how, plan, console))
        told.append(
            {
                **_row(how, prepared.encoder),
                "summary": summary(found, budget=plan.budget, seed=plan.seed),
                "ledger": {name: value - before[name] for name, value in prepared.spent().items()},
                "seconds": time.perf_counter() - start,
            }
        )
        by_attack[how.name] = found
    header = {**_described(prepared, plan), "attacks": told, "worst_case": worst_case(by_attack)}
    return Attacked(header, [one for found in by_attack.values() for one in found])


def _watched(prepared: Prepared, how: Attack, plan: Plan, console: Console) -> Iterator[Outcome]:
    """The outcomes in the order of the rows; meanwhile a table that grows, or some lines where none can be drawn."""
    from sixfold.attack.run import attack

    outcomes = attack(
        prepared.subject,
        prepared.rows,
        how,
        goal=prepared.goal,
        examples=plan.examples,
        seed=plan.seed,
        budget=plan.budget,
        entity_words=plan.entity_words,
        encoder=prepared.encoder,
        rough=prepared.rough,
    )
    total = min(plan.examples or len(prepared.rows), len(prepared.rows))
    found: list[Outcome] = []
    start, last = time.perf_counter(), 0.0
    live = console.is_terminal or console.is_jupyter
    with Live(console=console, transient=True, refresh_per_second=4, auto_refresh=live) as shown:
        for one in outcomes:
            found.append(one)
            seconds = time.perf_counter() - start
            if live:
                shown.update(_progress(how.name, found, total, seconds))
            elif seconds - last > PLAIN_SECONDS:
                last = seconds
                console.print(f"  {how.name}: {len(found):,} of {total:,}; {_line(found, seconds)}")
    yield from sorted(found, key=lambda one: one.place)


def _progress(name: str, found: Sequence[Outcome], total: int, seconds: float) -> Table:
    """A small table of what has come of the rows so far."""
    grid = Table(
        "attack", "rows", "succeeded", "withstood", "skipped", "no candidates", "success", "queries/s", box=None
    )
    won, lost, skipped, untried = _tally(found)
    tried = won + lost
    grid.add_row(
        name,
        f"{len(found):,} of {total:,}",
        *(f"{count:,}" for count in (won, lost, skipped, untried)),
        f"{show.percent(won / tried)} %" if tried else show.NOTHING,
        f"{sum(one.queries for one in found) / seconds:,.0f}" if seconds else show.NOTHING,
    )
    return grid


def _line(found: Sequence[Outcome], seconds: float) -> str:
    won, lost, _, _ = _tally(found)
    rate = sum(one.queries for one in found) / seconds if seconds else 0.0
    return f"{won:,} of {won + lost:,} attacks succeeded; {rate:,.0f} queries/s"


def _tally(found: Sequence[Outcome]) -> tuple[int, int, int, int]:
    """Rows that succeeded, withstood, were skipped, and had no candidates."""
    won = sum(one.kind == "succeeded" for one in found)
    skipped = sum(one.kind == "skipped" for one in found)
    untried = sum(one.kind == "no candidates" for one in found)
    return won, len(found) - won - skipped - untried, skipped, untried


def _told(prepared: Prepared, plan: Plan) -> str:
    """A line before it begins."""
    total = len(prepared.rows)
    rows = f"{min(plan.examples or total, total):,} of {counted(total, 'row')} ({prepared.split})"
    budget = "as many queries as it takes"
    if plan.budget is not None:
        budget = f"at most {counted(plan.budget, 'query', 'queries')} each"
    return f"attacking {rows}; goal: {prepared.goal.what}; {budget}"


def _row(how: Attack, encoder: Encoder | None) -> dict[str, Any]:
    from sixfold.attack.attacks import ATTACKS

    row = ATTACKS[how.name]
    return {
        "name": how.name,
        "what": row.what,
        "paper": row.paper,
        "settings": [list(pair) for pair in how.settings],
        "encoder": encoder.name if encoder is not None else "",
    }


def _described(prepared: Prepared, plan: Plan) -> dict[str, Any]:
    """What was attacked and how, so that it can be done again."""
    subject, rows = prepared.subject, prepared.rows
    roles = [column.role for column in subject.task.columns if column.role in rows.column_names]
    return {
        "format": 1,
        "created": lineage.build(parent=None)["created"],
        "checkpoint": {"name": str(plan.checkpoint), "digest": subject.digest, "task": subject.task.name},
        "data": {
            "source": plan.source if isinstance(plan.source, str) else f"<{type(plan.source).__name__}>",
            "split": prepared.split,
            "digest": digest(rows, roles),
            "rows": len(rows),
        },
        "goal": {"name": prepared.goal.name, "what": prepared.goal.what},
        "target": plan.target,
        "bound": plan.bound,
        "examples": min(plan.examples or len(rows), len(rows)),
        "budget": plan.budget,
        "seed": plan.seed,
        "entity_words": plan.entity_words,
        "precision": "fp32" if prepared.rough is None else f"{prepared.precision}, confirmed in fp32",
        "versions": lineage.versions(),
        "machine": lineage.machine(),
    }


def save(done: Attacked, folder: Path) -> None:
    """Write everything; the folder is the old one or the new one, never half.

    Raises:
        StorageError: it could not be written.
    """
    from sixfold.attack.outcome import FILE
    from sixfold.attack.outcome import write as write_outcomes

    with replacing(folder) as temporary:
        write_outcomes(temporary / FILE, done.outcomes)
        text = json.dumps(done.header, ensure_ascii=False, indent=1, allow_nan=False)
        write_text(temporary / HEADER, text + "\n", mode=PRIVATE)
        write(page(done), temporary / REPORT)


def page(done: Attacked) -> Page:
    """The report."""
    header = done.header
    names = ", ".join(one["name"] for one in header["attacks"])
    facts = (
        ("Written", header["created"]),
        ("Seed", header["seed"]),
        ("Sixfold", header["versions"]["sixfold"]),
        ("torch", header["versions"]["torch"]),
    )
    return Page(
        title=f"{_run_name(header['checkpoint']['name'])} under attack",
        subtitle=f"{names}, on {header['examples']:,} rows of {header['data']['source']}",
        facts=facts,
        sections=robustness_sections(header, [one.to_dict() for one in done.outcomes]),
    )


def table(header: Mapping[str, Any]) -> Table:
    """What came of it, for a terminal of 80 columns: a line an attack."""
    heads = ("attack", "still right, %", "succeeded, %", "queries", "changed, %")
    grid = Table(*heads, box=None, pad_edge=False)
    for column in grid.columns[1:]:
        column.justify = "right"
    grid.add_row("none", _estimate(header["attacks"][0]["summary"]["metrics"]["clean"]), "", "", "", style="dim")
    for one in header["attacks"]:
        metrics = one["summary"]["metrics"]
        rates = (_estimate(metrics["under_attack"]), _estimate(metrics["success"]))
        queries, changed = metrics["queries"]["value"], metrics["changed"]["value"]
        grid.add_row(one["name"], *rates, show.number(queries), show.percent(changed))
    if len(header["attacks"]) > 1:
        worst = header["worst_case"]
        grid.add_row("all of them", _estimate(worst["under_attack"]), _estimate(worst["success"]), "", "")
    return grid


def _estimate(metric: Mapping[str, Any]) -> str:
    low, value, high = (show.percent(metric[name]) for name in ("low", "value", "high"))
    return value if metric["value"] is None else f"{value} [{low}, {high}]"


def _run_name(checkpoint: str | Path) -> str:
    """What the attacked model is called: its run's name, or its folder's."""
    parts = [part for part in Path(checkpoint).resolve().parts if part != "checkpoint"]
    return parts[-1]
