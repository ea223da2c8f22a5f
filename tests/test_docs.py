"""What the docs say in tables is what the code does: keys and defaults, formats, columns, catalogues, tasks, recipes.

That code blocks run and links lead somewhere: ``test_readme.py``.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import nbformat
import numpy as np
import pytest
import yaml
from nbclient import NotebookClient
from pydantic import BaseModel
from tiny import tiny_encoder

from sixfold.data import catalogue as data_catalogue
from sixfold.data.files import EXTENSIONS
from sixfold.data.own import QUESTIONS
from sixfold.data.own import SETS as OWN_SETS
from sixfold.models import catalogue as model_catalogue
from sixfold.models.scratch import SIZES
from sixfold.recipe import Recipe, load, parse
from sixfold.stages import converse_config as converse
from sixfold.stages import harden_config as harden
from sixfold.stages import pretrain_config as pretrain
from sixfold.stages.auditing.config import Config as AuditConfig
from sixfold.stages.conversing.config import EvaluationConfig
from sixfold.stages.finetune import Config, ScratchConfig
from sixfold.stages.planted import CanaryConfig
from sixfold.stages.rows import DataConfig
from sixfold.stages.transferring import config as transferring
from sixfold.tasks.registry import SHORT, TASKS, full_name, task_class
from sixfold.tasks.text_classification import LabelPrediction, TextClassification
from sixfold.tasks.token_classification import TagPrediction, TokenClassification
from sixfold.train.config import AdversarialConfig, TrainConfig
from sixfold.train.optimiser import LEAST_STEPS, MOST_EPOCHS, USUAL_EPOCHS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
KEYS = {
    "finetune.md": {
        "recipe": Recipe,
        "finetune": Config,
        "data": DataConfig,
        "train": TrainConfig,
        "scratch": ScratchConfig,
    },
    "pretrain.md": {
        "pretrain": pretrain.Config,
        "corpus": pretrain.CorpusConfig,
        "tokenizer": pretrain.TokenizerConfig,
        "model": pretrain.ModelConfig,
        "extend": pretrain.ExtendConfig,
    },
    "converse.md": {"converse": converse.Config, "lora": converse.LoraConfig, "evaluation": EvaluationConfig},
    "transfer.md": {
        "transfer": transferring.Config,
        "adapter": transferring.AdapterConfig,
        "few_shot": transferring.FewShotConfig,
    },
    "audit.md": {"audit": AuditConfig, "canaries": CanaryConfig},
    "harden.md": {
        "harden": harden.Config,
        "augment": harden.AugmentConfig,
        "renew": harden.RenewConfig,
        "adversarial": AdversarialConfig,
    },
}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def table(text: str, after: str) -> list[list[str]]:
    """The cells of the first table behind ``after``, without its head."""
    assert text.count(after) == 1, f"{after!r} must stand once"
    lines = text.partition(after)[2].splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def code(cell: str) -> str:
    return cell.strip("`")


def default_of(field: Any) -> Any:
    value = field.get_default(call_default_factory=True)
    return value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else value


@pytest.mark.parametrize(("file", "name"), [(file, name) for file, kinds in KEYS.items() for name in kinds])
def test_every_key_and_its_default_stand_in_the_docs(file: str, name: str) -> None:
    told = {code(row[0]): code(row[1]) for row in table(page(file), f"<!-- keys: {name} -->")}
    known = KEYS[file][name].model_fields
    assert set(told) == set(known)
    for key, field in known.items():
        if field.is_required():
            assert told[key] == "required", key
        else:
            default = default_of(field)
            default = list(default) if isinstance(default, tuple) else default
            assert (key, yaml.safe_load(told[key])) == (key, default)


def test_the_table_of_formats_is_what_is_read() -> None:
    told = {code(row[0]): row[1].split(", ") for row in table(page("finetune.md"), "### Formats")}
    known: dict[str, list[str]] = {}
    for ending, kind in EXTENSIONS.items():
        known.setdefault(kind, []).append(ending)
    assert told == known


def test_the_table_of_columns_is_what_the_tasks_declare() -> None:
    rows = table(page("finetune.md"), "### Columns")
    told = {code(row[1]): row[3] for row in rows}
    plain, several = TextClassification(), TextClassification(several=True)
    known = {
        column.role: list(column.names) for task in (plain, several, TokenClassification()) for column in task.columns
    }
    own = [name for name in known["labels"] if name not in known["label"]]
    known["labels"] = [*own, "and those of `label`"]
    assert {role: names.split(", ") for role, names in told.items()} == known


def test_the_derived_number_of_epochs_is_told() -> None:
    row = next(row for row in table(page("finetune.md"), "### Derived values") if row[0] == "epochs")
    assert row[1] == f"{USUAL_EPOCHS}; with few rows as many as make {LEAST_STEPS} steps, at most {MOST_EPOCHS}"


def test_every_name_of_a_task_stands_in_the_docs() -> None:
    text = page("finetune.md")
    for task in (task for task in TASKS if task not in ("dialogue", "preference")):  # another stage's
        heading = text.partition(f"### {task}\n")[2].partition("\n### ")[0]
        for short in (name for name in SHORT if full_name(name) == task):
            assert f"`{short}`" in heading, short


def test_the_table_of_watched_scores_is_what_tasks_give() -> None:
    told = {
        row[0]: (set(map(code, row[1].split(", "))), code(row[2]))
        for row in table(page("finetune.md"), "### Early stopping")
    }
    one = LabelPrediction(("a",), 0.9, np.array([0.9, 0.1]), np.array([2.0, 0.0]))
    several = TextClassification(("a", "b"), several=True)
    tags = TagPrediction(("O",), (), (), np.zeros((1, 3)), np.array([True]))
    plain = TextClassification(("a", "b"))
    names = {
        "classify": (set(plain.scores([one], {"text": ["x"], "label": ["a"]})), plain.metric),
        "classify, `several: true`": (set(several.scores([one], {"text": ["x"], "labels": [["a"]]})), several.metric),
        "entities": (
            set(TokenClassification(("O", "B-X", "I-X")).scores([tags], {"tags": [["O"]]})),
            TokenClassification.metric,
        ),
    }
    assert told == names


def test_the_sizes_of_new_encoders_are_told() -> None:
    (row,) = table(page("finetune.md"), "<!-- keys: scratch -->")
    assert re.findall(r"`(\w+)` \((\d+)(?: layers, width|,) (\d+)\)", row[2]) == [
        (name, str(size.layers), str(size.width)) for name, size in SIZES.items()
    ]


def test_the_example_recipe_of_the_docs_is_one() -> None:
    (example,) = [
        part for part in re.findall(r"```yaml\n(.*?)```", page("finetune.md"), re.DOTALL) if "stages:" in part
    ]
    assert parse(yaml.safe_load(example)).name == "complaints"


def test_the_table_of_data_sets_is_the_catalogue() -> None:
    told = {code(row[0]): row[1:] for row in table(page("data.md"), "## The catalogue")}
    short = {"text_classification": "classify", "token_classification": "entities"}
    known = {}
    for one in data_catalogue.entries():
        splits = [one.splits.get(name) for name in ("train", "validation", "test")]
        counts = " / ".join("-" if count is None else f"{count:,}" for count in splits)
        known[one.name] = [short[one.task], one.language, counts, str(one.labels), one.where, one.licence]
    assert told == known


def test_every_data_set_has_its_traps_told() -> None:
    told = " ".join(row[0] for row in table(page("data.md"), "## Traps"))
    parts = [one.name for one in data_catalogue.entries() if f"`{one.name}`" not in told]
    assert parts == ["financial_phrasebank_66", "financial_phrasebank_75", "financial_phrasebank_all"]


def test_the_table_of_models_is_the_catalogue() -> None:
    told = {code(row[0]): row[2:] for row in table(page("models.md"), "## The catalogue")}
    assert told == {
        one.name: [
            f"{one.parameters / 1e6:.1f}M",
            ", ".join(one.languages),
            one.licence,
            f"`{one.source.package}` {one.source.version}",
        ]
        for one in model_catalogue.entries()
    }


def test_the_notice_names_whatever_can_be_fetched_or_read() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    packages = [one.package() for one in data_catalogue.entries() if one.package is not None]
    packages += [one.source for one in model_catalogue.entries()]
    names = {f"{one.package} {one.version}" for one in packages} | {one.name for one in model_catalogue.entries()}
    names |= {one.folder for one in data_catalogue.entries() if one.package is None}
    assert not [name for name in sorted(names) if name not in notice]


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement)[0].lower()


def test_every_dependency_has_its_paragraph() -> None:
    text = page("decisions.md")
    told = [name.lower() for name in re.findall(r"^\*\*([\w-]+)\.\*\*", text, re.MULTILINE)]
    assert told == [_name(one) for one in PYPROJECT["project"]["dependencies"]]
    development = text.partition("### For development")[2].partition("## ")[0].lower()
    wanted = [_name(one) for one in PYPROJECT["project"]["optional-dependencies"]["dev"]]
    assert not [name for name in wanted if f"**{name}**" not in development]


def test_conda_gets_the_same_python_and_the_same_packages() -> None:
    given = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    assert f"python{PYPROJECT['project']['requires-python']}" in given["dependencies"]
    assert given["dependencies"][-1] == {"pip": ["-e .[dev]"]}


def test_the_architecture_says_which_tasks_are_there() -> None:
    rows = table(page("architecture.md"), "The contract was held against every task of the design")
    there = {kind: {code(row[0]) for row in rows if row[1] == kind} for kind in ("yes", "in pretrain", "planned")}
    assert sum(map(len, there.values())) == len(rows)
    assert there["yes"] == set(TASKS)
    assert there["in pretrain"] == set(get_args(pretrain.Objective))
    for row in rows:
        name = code(row[0])
        if name in there["planned"]:
            continue
        corpus = {"source": "a.txt"}
        task: Any = (
            task_class(name)() if name in TASKS else pretrain.Config(objective=name, corpus=corpus).new_task()  # type: ignore[arg-type]
        )
        assert row[2] == task.head().kind
        for column in task.columns:
            assert (f"*{column.role}*" if column.target else column.role) in row[3], column.role


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_along_can_be_read(path: Path) -> None:
    recipe = load(path)
    assert recipe.name == path.stem
    for entry in recipe.stages:
        if entry.audit is not None:  # its rows are those that the checkpoint learnt from
            assert entry.audit.foreign in data_catalogue.names()
            continue
        if entry.transfer is not None:
            sources = [domain.source for domain in entry.transfer.domains.values()]
        else:
            stage = entry.finetune or entry.converse or entry.harden
            sources = [(entry.pretrain.corpus if stage is None else stage.data).source]
        known = {*data_catalogue.names(), *OWN_SETS, *QUESTIONS}
        assert {source.partition(":")[0] for source in sources} <= known


def test_the_recipe_of_hardening_is_one_and_its_usual_attacks_are_those_of_the_code() -> None:
    for example in re.findall(r"```yaml\n(.*?)```", page("harden.md"), re.DOTALL):
        assert parse(yaml.safe_load(example)).name in ("steadier", "steady-reviews")
    told = {
        (code(row[0]), row[1]): tuple(map(code, row[2].split(", ")))
        for row in table(page("harden.md"), "<!-- attacks -->")
    }
    assert told == harden.ATTACKED


@pytest.mark.parametrize("name", ["conll2003", "banking77", "sst2", "phrasebank"])
def test_the_recipes_are_those_that_the_bench_measures(name: str) -> None:
    spec = importlib.util.spec_from_file_location("finetune_quality", ROOT / "bench/finetune_quality.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    (entry,) = load(ROOT / f"recipes/{name}.yaml").stages
    measured = Config.model_validate(bench.config_of(entry.finetune.data.source, "sixfold"))
    assert entry.finetune == measured


def test_the_notebook_keeps_no_outputs() -> None:
    cells = json.loads(page("tutorial.ipynb"))["cells"]
    kept = [cell for cell in cells if cell["cell_type"] == "code"]
    assert kept
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in kept)


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_encoder(tmp_path / "base")
    for name, folder in {"SIXFOLD_HOME": "home", "JUPYTER_RUNTIME_DIR": "jupyter", "IPYTHONDIR": "ipython"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("SIXFOLD_TUTORIAL_BASE", str(base))
    notebook = nbformat.read(DOCS / "tutorial.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = {cell["id"]: cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"}
    html = [output.get("data", {}).get("text/html", "") for outputs in shown.values() for output in outputs]
    assert any("95" in part and "macro F1" in part for part in html), "the run shows its scores"
    assert any("<td>Could I borrow five thousand?</td>" in part for part in html), "the answers show as a table"
    assert any("href='runs/tutorial/report.html'" in part for part in html), "the report is linked"
    assert (tmp_path / "runs/tutorial/report.html").is_file()
