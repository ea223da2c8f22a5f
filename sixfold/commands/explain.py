"""``sixfold explain CHECKPOINT "text"``: why a model answers so, in the terminal or on a page; or for a whole file.

The explainers are in ``sixfold/explain``; what the page shows, in ``report/explanation.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from sixfold.commands.importing import uncollected
from sixfold.commands.predict import checkpoint_of
from sixfold.commands.runs import called
from sixfold.data.one_split import one_split
from sixfold.data.partition import drawn
from sixfold.errors import DataError, UsageError, unknown
from sixfold.models import lineage
from sixfold.report import show
from sixfold.report.blocks import Page
from sixfold.report.explanation import FOLDED, explanation_sections
from sixfold.text import sentences
from sixfold.text.counting import counted

if TYPE_CHECKING:
    from sixfold.explain.attribution import Explanation
    from sixfold.explain.decoder import Decoder
    from sixfold.explain.run import Plan as Asked
    from sixfold.score.subject import Subject

COPIES = 500
"""About as many copies of a text are asked about to explain it."""
WEIGHED = 256
"""Texts by which a lower precision is weighed against fp32."""
EXAMPLES = 100
"""Rows of a file that are explained unless another number is given."""
SEEDS = 2
"""Seeds that explainers of a file are run with, to tell how stable they are."""


@dataclass(frozen=True)
class Plan:
    """What is to be explained, and how.

    Attributes:
        text: one text; or ``source``, rows of which ``examples`` are drawn by the seed.
        methods: explainers by name; the usual ones unless given.
        by: ``words``, ``subwords``, ``sentences`` or ``characters``.
        label: the answer that is explained; the model's own unless given.
        filling: ``delete`` or ``mask``.
        samples: copies of each text; every explainer's own number unless given.
        window: units that occlusion leaves out together.
        precision: of a classifier's answers: ``fp32``, or ``compiled``, ``bf16``, ``int8`` or ``auto`` where that pays.
            Gradients are always fp32.
    """

    checkpoint: str | Path
    text: str | None = None
    source: Any = None
    methods: tuple[str, ...] = ()
    by: str = "words"
    label: str | None = None
    filling: str | None = None
    samples: int | None = None
    window: int = 1
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    examples: int = EXAMPLES
    seed: int = 0
    precision: str = "fp32"


@dataclass(frozen=True)
class Explained:
    """What explaining gave.

    Attributes:
        explanations: one an answer, those of a text that could not be explained left out.
        sentences: the same by sentences, of texts that have several.
        result: everything as plain data, as ``--json`` prints it.
    """

    explanations: list[Explanation]
    sentences: list[Explanation]
    result: dict[str, Any]


def run(plan: Plan, *, console: Console | None = None, quiet: bool = False) -> Explained:
    """Explain, and print what came of it.

    Args:
        quiet: nothing is printed but progress.

    Raises:
        UsageError: a name or number that does not fit, or neither a text nor a source.
        DataError: the text or the rows cannot be used.
        ModelError: the checkpoint cannot be explained.
    """
    console = console or Console()
    if (plan.text is None) == (plan.source is None):
        raise UsageError("a text is needed, or --data with a file of them", hint='sixfold explain RUN "a text"')
    if plan.examples < 1:
        raise UsageError("at least 1 example is needed", found=plan.examples)
    with uncollected():
        from sixfold.explain.aggregate import gathered
        from sixfold.explain.methods import named
        from sixfold.explain.trust import trust
    asked = _asked(plan)
    model = load(plan.checkpoint)
    texts, described = ([plan.text], None) if plan.source is None else _rows(model, plan)
    model, precision = _lowered(model, texts, plan)
    if plan.precision != "fp32" and not quiet:
        console.print(f"answers in {precision}", style="dim", highlight=False, markup=False)
    start = time.perf_counter()
    found = list(_watched(model, texts, asked, console, lenient=plan.source is not None))
    if not found:
        raise DataError(
            "there is nothing to explain: the model finds no entity", found=(plan.text or f"{len(texts)} rows")[:80]
        )
    by_sentences = _sentences(model, texts, asked, found[:FOLDED]) if plan.by != "sentences" else []
    trusted = trust(found)
    result: dict[str, Any] = {
        "format": 1,
        "created": lineage.build(parent=None)["created"],
        "checkpoint": _checkpoint(model, plan),
        "by": plan.by,
        "seed": plan.seed,
        "precision": precision,
        "methods": [
            {"name": one.name, "what": one.what, "paper": one.paper, "baseline": one.baseline}
            for one in named(asked.methods)
        ],
        "trust": trusted.to_dict(),
        "explanations": [one.to_dict() for one in found],
        "sentences": [one.to_dict() for one in by_sentences],
        "passed_over": len(texts) - len({one.number for one in found}),
        "ledger": asdict(model.scorer.ledger),
        "seconds": time.perf_counter() - start,
        "versions": lineage.versions(),
        "machine": lineage.machine(),
    }
    if described is not None:
        method = trusted.chosen or asked.methods[0]
        result |= {"data": described, "gathered": gathered(found, method).to_dict()}
    if not quiet:
        for line in told(found, result):
            console.print(line)
    return Explained(found, by_sentences, result)


def load(checkpoint: str | Path) -> Subject | Decoder:
    """A checkpoint that was fine-tuned to classify or to tag; or a decoder, whose next token is explained.

    Raises:
        UsageError: there is no such model.
        ModelError: it is neither.
    """
    with uncollected():
        from sixfold.explain.decoder import Decoder
        from sixfold.score.subject import Subject
    folder = checkpoint_of(Path(checkpoint))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writes = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.get("architectures") or ())
    return Decoder.load(folder) if writes else Subject.load(folder)


def _asked(plan: Plan) -> Asked:
    from sixfold.explain.methods import USUAL
    from sixfold.explain.run import Plan as Asked
    from sixfold.explain.subjects import View

    whole = plan.source is not None
    view = View(by=plan.by, label=plan.label, filling=plan.filling)
    return Asked(
        plan.methods or USUAL,
        view,
        samples=plan.samples,
        window=plan.window,
        seed=plan.seed,
        seeds=SEEDS if whole else 1,
        faithful=True,
        flips=whole,
    )


def _checkpoint(model: Subject | Decoder, plan: Plan) -> dict[str, Any]:
    task = getattr(model, "task", None)
    identity = model.scorer.identity
    assert identity is not None
    return {
        "name": str(plan.checkpoint),
        "digest": identity.checkpoint,
        "task": "next token" if task is None else task.name,
    }


def _lowered(model: Subject | Decoder, texts: Sequence[Any], plan: Plan) -> tuple[Subject | Decoder, str]:
    """The model that answers, and in which precision and why.

    Raises:
        UsageError: there is no such precision.
    """
    from sixfold.score.rough import Rough, roughly
    from sixfold.score.subject import Subject
    from sixfold.tasks.texts import Texts

    if plan.precision == "fp32":
        return model, "fp32"
    if plan.precision not in (*get_args(Rough), "auto"):
        raise unknown("precision", plan.precision, ("fp32", "auto", *get_args(Rough)))
    if not isinstance(model, Subject):
        return model, "fp32: a lower precision is for classifiers"
    role = next(column.role for column in model.task.columns if not column.target)
    some = Texts({role: list(texts[:WEIGHED])})
    examples = model.task.encode(some, model.tokenizer, model.limit, "truncate").examples
    rough, why = roughly(model, examples, plan.precision, searched=len(texts), questions=COPIES)  # type: ignore[arg-type]
    return (model, f"fp32: {why}") if rough is None else (rough, why)


def _rows(model: Subject | Decoder, plan: Plan) -> tuple[list[Any], dict[str, Any]]:
    """The rows that are explained, drawn by the seed, and what is told of them."""
    from sixfold.tasks.causal_lm import CausalLM

    task: Any = getattr(model, "task", None) or CausalLM()
    inputs = [column for column in task.columns if not column.target]
    name, rows = one_split(
        plan.source,
        inputs,
        split=plan.split,
        usual=getattr(model, "columns", {}),
        given=plan.columns,
        encoding=plan.encoding,
        allow=["overlaps"],
    )
    source = plan.source if isinstance(plan.source, str) else f"<{type(plan.source).__name__}>"
    return rows.select(drawn(len(rows), plan.examples, plan.seed))[inputs[0].role][:], {
        "source": source,
        "split": name,
        "rows": len(rows),
    }


def _watched(
    model: Subject | Decoder, texts: Sequence[Any], asked: Asked, console: Console, *, lenient: bool
) -> Iterator[Explanation]:
    """The explanations in the order of the texts; meanwhile a bar, where one can be drawn."""
    from sixfold.explain.run import explained

    done: dict[int, list[Explanation]] = {}
    with Progress(console=console, transient=True, disable=len(texts) == 1 or not console.is_terminal) as bar:
        task = bar.add_task("explaining", total=len(texts))
        for number, some in explained(model, texts, asked, lenient=lenient):
            done[number] = some
            bar.advance(task)
    for number in sorted(done):
        yield from done[number]


def _sentences(
    model: Subject | Decoder, texts: Sequence[Any], asked: Asked, found: Iterable[Explanation]
) -> list[Explanation]:
    """The texts that have several sentences, explained by them."""
    from sixfold.explain.run import explained

    several = sorted({one.number for one in found if len(sentences(one.text)) > 1})
    plain = replace(asked, view=replace(asked.view, by="sentences"), window=1, seeds=1, faithful=False, flips=False)
    done = dict(explained(model, [texts[number] for number in several], plain, lenient=True))
    return [replace(one, number=several[place]) for place in sorted(done) for one in done[place]]


def told(found: Sequence[Explanation], result: Mapping[str, Any]) -> Iterator[Text | Table]:
    """Lines and tables for a terminal."""
    from sixfold.explain.shown import lines_of, top_of

    gathered = result.get("gathered")
    if gathered is None:
        for one in found:
            yield from lines_of(one)
            best = result["trust"]["chosen"] or one.attributions[0].method
            yield Text(f"  by {best}: {top_of(one, one.of(best))}", style="dim")
        yield Text(result["trust"]["said"])
        return
    yield _standings(result["trust"])
    yield Text(result["trust"]["said"])
    yield _words(gathered)
    yield from _shortcuts(gathered)
    if result["passed_over"]:
        passed = counted(result["passed_over"], "text")
        yield Text(f"{passed} passed over: nothing to explain, too short or too long", style="dim")


def _standings(trust: Mapping[str, Any]) -> Table:
    grid = _grid("explainer", "comprehensiveness", "sufficiency", "ahead of chance")
    first = trust["standings"][0]["filling"] if trust["standings"] else ""
    for one in trust["standings"]:
        if one["filling"] == first:
            figures = [show.number(one[name]["value"]) for name in ("comprehensiveness", "sufficiency")]
            gain = one["gain"]
            grid.add_row(one["method"], *figures, "" if gain is None else _estimate(gain))
    return grid


def _estimate(metric: Mapping[str, Any]) -> str:
    low, value, high = (show.number(metric[name]) for name in ("low", "value", "high"))
    return f"{value} [{low}, {high}]"


def _words(gathered: Mapping[str, Any], most: int = 8) -> Table:
    from sixfold.explain.shown import visible

    grid = Table("answer", f"words that matter most, by {gathered['method']}", box=None, pad_edge=False)
    for label, words in gathered["words"].items():
        some = [f"{visible(one['word'])} {one['weight']:+.2f}" for one in words[:most]]
        grid.add_row(Text(visible(label)), Text(", ".join(some)))
    return grid


def _shortcuts(gathered: Mapping[str, Any]) -> Iterator[Text]:
    from sixfold.explain.shown import visible

    for one in gathered["shortcuts"][:10]:
        share = f"{one['flips']} of {counted(one['texts'], 'answer')}"
        yield Text(f"suspected shortcut: without {visible(one['word'])!r} {share} change", style="yellow")
    if not gathered["shortcuts"]:
        yield Text("no suspected shortcuts: no word by itself changes many answers")


def _grid(first: str, *others: str) -> Table:
    grid = Table(first, *others, box=None, pad_edge=False)
    for column in grid.columns[1:]:
        column.justify = "right"
    return grid


def page(found: Explained) -> Page:
    """The report of one text or a file."""
    result = found.result
    source = f", {result['data']['source']}" if "data" in result else ""
    return Page(
        title=f"Why {called(result['checkpoint']['name'])} answers so",
        subtitle=f"{counted(len(found.explanations), 'answer')} explained{source}",
        facts=(
            ("Written", result["created"]),
            ("Seed", result["seed"]),
            ("Sixfold", result["versions"]["sixfold"]),
            ("torch", result["versions"]["torch"]),
        ),
        sections=explanation_sections(result),
    )
