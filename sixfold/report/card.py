"""The model card of an audited checkpoint: a ``README.md`` as the Hugging Face hub reads it.

The format: https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from sixfold.report import show
from sixfold.text.counting import counted

Result = Mapping[str, Any]
_TAGS = {
    "text_classification": "text-classification",
    "token_classification": "token-classification",
    "causal_lm": "text-generation",
    "masked_lm": "fill-mask",
    "dialogue": "text-generation",
}
_DOES = {
    "text_classification": "answers a text with one of its labels",
    "token_classification": "finds entities in a sentence",
    "causal_lm": "writes a text on",
    "masked_lm": "fills in hidden words of a text",
    "dialogue": "answers in a conversation",
}
LABELS = 30
"""Labels that are listed."""


def card(audit: Result) -> str:
    """The card: front matter, what the model is for, every figure with its interval, what is not known.

    Args:
        audit: the results of an audit stage.
    """
    return "\n".join([*_front(audit), "", *_body(audit)]) + "\n"


def _front(audit: Result) -> list[str]:
    chain = audit["provenance"]["chain"]
    bases = [one["base"] for one in chain if one["base"] not in ("", "the stage before", "scratch")]
    front: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": _TAGS[audit["task"]],
        "tags": ["sixfold"],
    }
    if audit["checkpoint"]["language"] != "und":
        front["language"] = [audit["checkpoint"]["language"]]
    if bases and not bases[-1].startswith("a new "):
        front["base_model"] = bases[-1]
    sources = list(dict.fromkeys(one["source"] for one in chain if one["source"]))
    if sources:
        front["datasets"] = sources
    front["model-index"] = [{"name": _name(audit), "results": [_index(audit)]}]
    written = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return ["---", *written.rstrip("\n").split("\n"), "---"]


def _index(audit: Result) -> dict[str, Any]:
    evaluation = audit["evaluations"][audit["split"]]
    source = next((one["source"] for one in audit["provenance"]["chain"] if one["source"]), "rows in memory")
    return {
        "task": {"type": _TAGS[audit["task"]]},
        "dataset": {"name": source, "type": source, "split": audit["split"]},
        "metrics": [
            {"type": name, "value": round(metric["value"], 4)}
            for name, metric in evaluation["metrics"].items()
            if metric["value"] is not None
        ],
    }


def _name(audit: Result) -> str:
    return f"sixfold-{audit['checkpoint']['digest'][:12]}"


def _body(audit: Result) -> Iterator[str]:
    checkpoint, chain = audit["checkpoint"], audit["provenance"]["chain"]
    yield f"# {_name(audit)}"
    yield ""
    labels: Sequence[str] = checkpoint["labels"]
    listed = ", ".join(f"`{label}`" for label in labels[:LABELS]) + (", …" if len(labels) > LABELS else "")
    does = f"{_DOES[audit['task']]}: {listed}" if labels else _DOES[audit["task"]]
    yield (
        f"A model of {checkpoint['parameters']:,} parameters that {does}. It reads up to "
        f"{counted(checkpoint['limit'], 'token')} of a text. Audited by Sixfold on {audit['lineage']['created'][:10]}."
    )
    yield ""
    yield from _gates(audit["gates"])
    yield "## Figures"
    yield ""
    yield f"On {audit['split'].replace('_', '-')} rows, which the model has not learnt. Intervals are of 95 %."
    yield ""
    yield from _table(("Figure", "Value", "Interval", "n"), _figures(audit["metrics"]))
    yield "## What was not measured"
    yield ""
    yield from [f"- {name}: {why}" for name, why in audit["missing"].items()] or ["- nothing was left out"]
    yield ""
    yield "## Where it comes from"
    yield ""
    yield from _table(
        ("Stage", "When", "From", "Data", "Seed"),
        ((one["stage"], one["created"], one["base"], one["source"], one["seed"]) for one in chain),
    )
    yield from _table(
        ("What", "Name", "Licence"),
        ((one["kind"], one["name"], one["licence"]) for one in audit["provenance"]["licences"]),
    )
    yield f"SHA-256 of weights, configuration and tokenizer: `{checkpoint['digest']}`."


def _gates(gates: Sequence[Result]) -> Iterator[str]:
    yield "## Gates"
    yield ""
    if not gates:
        yield "No gates were set: whether it is fit for a use was not judged."
        yield ""
        return
    yield "Each was held against the worse end of the figure's interval."
    yield ""
    rows = (
        (
            one["gate"],
            show.figure(one["metric"]) if one["metric"] else "not measured",
            "passed" if one["passed"] else "**failed**",
        )
        for one in gates
    )
    yield from _table(("Gate", "Found", ""), rows)


def _figures(metrics: Mapping[str, Result]) -> Iterator[tuple[object, ...]]:
    for name, metric in metrics.items():
        known = metric["low"] is not None and metric["high"] is not None
        ends = f"{show.figure(metric, 'low')} to {show.figure(metric, 'high')}" if known else ""
        yield name, show.figure(metric), ends, f"{metric['count']:,}"


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(names) + " |"
    yield "| " + " | ".join("---" for _ in names) + " |"
    for row in rows:
        yield "| " + " | ".join(_cell(cell) for cell in row) + " |"
    yield ""


def _cell(value: object) -> str:
    return str("" if value is None else value).replace("|", "\\|").replace("\n", " ")
