"""``sixfold report RUN``: one self-contained HTML page from the results that a run's stages left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sixfold.commands.runs import stages_in
from sixfold.errors import DataError, UsageError
from sixfold.report import show
from sixfold.report.auditing import audit_sections, failed, verdict_section
from sixfold.report.blocks import Cell, Format, Notice, Page, Section, Tile, Tiles, estimate, table
from sixfold.report.conversing import conversing_sections, dialogue_section
from sixfold.report.evaluation import (
    calibration_section,
    classification_sections,
    embedding_sections,
    entity_sections,
)
from sixfold.report.hardening import hardening_sections, refusal
from sixfold.report.page import fragment, write
from sixfold.report.pretraining import language_sections, pretraining_sections, text_section
from sixfold.report.provenance import data_sections, lineage_sections, training_sections
from sixfold.report.transferring import of_all_domains, transfer_sections

RESULTS = "results.json"


def results_of(run: Path) -> list[dict[str, Any]]:
    """The results of a run's stages, in order.

    Raises:
        UsageError: the folder holds no finished stage.
        DataError: a file of results is damaged.
    """
    folders = stages_in(run, RESULTS)
    if not folders:
        raise UsageError("this folder holds no finished stage", where=run, hint="sixfold run RECIPE makes one")
    return [_read(folder / RESULTS) for folder in folders]


def _read(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        assert isinstance(results, dict)
    except (OSError, ValueError, AssertionError) as error:
        raise DataError(
            "the results of a stage cannot be read", where=path, hint="remove the file and run the recipe again"
        ) from error
    return results


def write_report(run: str | Path) -> Path:
    """Write ``run/report.html``."""
    run = Path(run)
    stages = results_of(run)
    sections = tuple(section for stage in stages for section in _SECTIONS[stage["stage"]](stage, len(stages) > 1))
    if len(stages) > 1:
        sections = (_overview(stages), *sections)
    sections = (*_verdicts(stages), *sections)
    titles = ", then ".join(" ".join(dict.fromkeys((stage["stage"], _short(stage)))) for stage in stages)
    page = Page(title=run.name, subtitle=titles, facts=_facts(stages), sections=sections)
    target = run / "report.html"
    write(page, target)
    return target


def summary(run: Path) -> str:
    """The headline numbers of a run as an HTML fragment, for notebooks."""
    parts = []
    for stage in results_of(run):
        for split, result in stage["evaluations"].items():
            tiles = Tiles(tuple(Tile.of(metric, note=split) for metric in result["metrics"].values()))
            parts.append(fragment(Section(f"{_short(stage)}, {split} rows", (tiles,))))
    return "".join(parts)


def _short(stage: dict[str, Any]) -> str:
    return str(stage["name"]).split("-", 1)[-1]


def _facts(stages: list[dict[str, Any]]) -> tuple[tuple[str, str | int | float | bool | None], ...]:
    last = stages[-1]["lineage"]
    versions = last["versions"]
    return (
        ("Written", last["created"]),
        ("Seed", last["seed"]),
        ("Sixfold", versions.get("sixfold")),
        ("torch", versions.get("torch")),
        ("transformers", versions.get("transformers")),
    )


def _finetune(stage: dict[str, Any], several: bool) -> list[Section]:
    """A fine-tuning stage: results first, then how they came about."""
    out = [*_evaluated(stage), *_training(stage), *data_sections(stage["data"]), *lineage_sections(stage["lineage"])]
    return _named(stage, out) if several else out


def _harden(stage: dict[str, Any], several: bool) -> list[Section]:
    """A hardening stage: before and after, the hardened model on rows as they are, then how it came about."""
    out = [*hardening_sections(stage), *_evaluated(stage), *_training(stage)]
    out += [*data_sections(stage["data"]), *lineage_sections(stage["lineage"])]
    return _named(stage, out) if several else out


def _transfer(stage: dict[str, Any], several: bool) -> list[Section]:
    """A transfer stage: the ways side by side, what moved between domains, then from what."""
    data = data_sections(of_all_domains(stage["domains"]))
    out = [*transfer_sections(stage), *data, *lineage_sections(stage["lineage"])]
    return _named(stage, out) if several else out


def _audit(stage: dict[str, Any], several: bool) -> list[Section]:
    """An audit: what each answer of its verdict rests on."""
    of_text = any(found.get("kind") == "language" for found in stage["evaluations"].values())
    data = (text_section(stage["data"]),) if of_text else data_sections(stage["data"])
    out = [*audit_sections(stage), *_evaluated(stage), *data, *lineage_sections(stage["lineage"])]
    return _named(stage, out) if several else out


def _verdicts(stages: list[dict[str, Any]]) -> list[Section]:
    """What audits say comes first, whatever else was done."""
    audits = [stage for stage in stages if stage["stage"] == "audit"]
    if len(audits) < 2:
        return [verdict_section(stage) for stage in audits]
    return [section for stage in audits for section in _named(stage, [verdict_section(stage)])]


def _evaluated(stage: dict[str, Any]) -> list[Section]:
    """The model on held-out rows."""
    out: list[Section] = []
    order = sorted(stage["evaluations"], key=lambda split: split == "validation")
    for split in order[:1]:
        result = stage["evaluations"][split]
        title = f"Results on {split} rows"
        if result["kind"] in ("language", "dialogue"):
            out += language_sections(result)
            out += [dialogue_section(result["dialogue"])] if result["kind"] == "dialogue" else []
        elif result["kind"] == "embedding":
            out += embedding_sections(result, title=title)
        elif result["kind"] == "entities":
            out += entity_sections(result, title=title, mistakes=result["mistakes"])
            if result.get("calibration"):
                out.insert(-1, calibration_section(result["calibration"], "words"))
        else:
            out += classification_sections(
                result, title=title, calibration=result.get("calibration"), mistakes=result["mistakes"]
            )
    return out


def _pretrain(stage: dict[str, Any], several: bool) -> list[Section]:
    """A pretraining stage: what it learnt, then how."""
    out = [*pretraining_sections(stage), *_training(stage), *lineage_sections(stage["lineage"])]
    return _named(stage, out) if several else out


def _converse(stage: dict[str, Any], several: bool) -> list[Section]:
    """A converse stage: what it answers, then how it learnt, from what."""
    out = [
        *conversing_sections(stage),
        *_training(stage),
        *data_sections(stage["data"]),
        *lineage_sections(stage["lineage"]),
    ]
    return _named(stage, out) if several else out


def _training(stage: dict[str, Any]) -> tuple[Section, ...]:
    return training_sections({**stage["training"], "steps": _charted(stage["training"]["steps"])})


def _named(stage: dict[str, Any], sections: list[Section]) -> list[Section]:
    """The sections of one stage of several."""
    name = _short(stage)
    return [Section(f"{name}: {part.title}", part.blocks, f"{name}-{part.id}") for part in sections]


def _charted(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is worth a curve of each step."""
    keys = ("step", "loss", "learning_rate", "tokens_per_second", "grad_norm")
    return [{key: step[key] for key in keys} for step in steps]


def _overview(stages: list[dict[str, Any]]) -> Section:
    """What each stage made and how good it is, in one table."""
    found = []
    for stage in stages:
        split = "test" if "test" in stage["evaluations"] else next(iter(stage["evaluations"]), None)
        found += [(stage, split, one) for one in stage["evaluations"][split]["metrics"].values()] if split else []
    alike = all(metric["percent"] for _, _, metric in found)  # a loss has no place on a scale of per cent
    rows: list[list[Cell]] = [
        [
            _short(stage),
            stage["task"],
            str(stage["base"]),
            metric["name"],
            estimate(metric) if alike else show.interval(metric),
            metric["count"],
            split,
        ]
        for stage, split, metric in found
    ]
    columns: list[tuple[str, Format]] = [
        *(("Stage", "text"), ("Task", "text"), ("Base", "text"), ("Metric", "text")),
        *(("Value", "interval" if alike else "text"), ("n", "count"), ("Split", "text")),
    ]
    refused = [Notice("error", _said_no(stage)) for stage in stages if stage.get("refused")]
    return Section("In short", (*refused, table(columns, rows)), "in-short")


def _said_no(stage: dict[str, Any]) -> str:
    return failed(stage["refused"]) if stage["stage"] == "audit" else refusal(stage["refused"])


_SECTIONS: dict[str, Callable[[dict[str, Any], bool], list[Section]]] = {
    "pretrain": _pretrain,
    "finetune": _finetune,
    "converse": _converse,
    "harden": _harden,
    "transfer": _transfer,
    "audit": _audit,
}
"""Sections of each stage's results. A further stage is a further row."""
