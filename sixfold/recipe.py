"""A YAML recipe: load, check, run its stages in order, skip what is done, resume what broke."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from sixfold.commands.runs import LISTED, folder_name, run_name, strangers
from sixfold.errors import GateError, Interrupted, UsageError, nearest
from sixfold.report import show
from sixfold.stages import audit, converse, finetune, harden, pretrain, transfer
from sixfold.stages.context import NAME, Context, Watch, owned, write_json
from sixfold.text.counting import counted
from sixfold.train import many

if TYPE_CHECKING:
    from sixfold.commands.predict import Model

STAGES: dict[str, Any] = {
    "pretrain": pretrain,
    "finetune": finetune,
    "converse": converse,
    "harden": harden,
    "transfer": transfer,
    "audit": audit,
}
"""Each stage's module: ``Config``, ``VERSION``, ``LEAVES``, ``prepare``, ``run``; ``job`` where something is trained.

A further stage is a further row.
"""

DONE = "stage.json"
FINISHED, REFUSED = "done", "refused"
_QUOTED = "such as --set 'data.columns={text: review}', in quotes, or --set data.columns.text=review"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OneStage(_Strict):
    @model_validator(mode="after")
    def _one(self) -> _OneStage:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"an entry under stages has one stage, one of: {', '.join(STAGES)}")
        (kind,) = self.model_fields_set
        if getattr(self, kind) is None:
            raise ValueError(f"{kind} has no keys; it needs at least what it works on")
        return self


Entry = create_model(
    "Entry",
    __base__=_OneStage,
    **cast(Any, {name: (module.Config | None, None) for name, module in STAGES.items()}),
)


class Recipe(_Strict):
    """The whole recipe.

    Attributes:
        name: names the run's folder.
        seed: everything random follows from it.
        stages: what is done, in order; each starts from the checkpoint of the one before unless it names a base.
    """

    name: str = Field(pattern=NAME, description="Names the folder under runs/.")
    seed: int = Field(13, ge=0, description="Everything random follows from it.")
    stages: list[Entry] = Field(min_length=1, description="What is done, in this order.")


def schema() -> dict[str, Any]:
    """JSON schema of a recipe, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def load(path: str | Path) -> Recipe:
    """Read a recipe file. A relative path in it that exists beside the recipe is taken from there.

    Raises:
        UsageError: no such file, not YAML, or keys and values that are wrong: all of them at once.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = nearest(path.name, [file.name for file in path.parent.glob("*.y*ml")]) if path.parent.is_dir() else None
        raise UsageError(
            f"there is no recipe {str(path)!r}", nearest=near, hint="sixfold init FILE writes one"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UsageError("the recipe cannot be read as YAML", where=path, found=str(error)) from error
    return parse(_beside(content, path.parent), where=str(path))


def _beside(content: Any, folder: Path) -> Any:
    """The recipe with the paths of its sources and bases as seen from the folder one works in."""
    if isinstance(content, dict):
        return {
            key: _located(value, folder) if key in ("source", "base", "words") else _beside(value, folder)
            for key, value in content.items()
        }
    return [_beside(item, folder) for item in content] if isinstance(content, list) else content


def _located(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _located(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_located(item, folder) for item in value]
    if isinstance(value, str) and value and not Path(value).is_absolute() and any(folder.glob(value)):
        return str(folder / value)
    return value


def parse(content: Any, *, where: str = "recipe") -> Recipe:
    """A recipe from plain data. Raises UsageError that tells all mistakes at once."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        mistakes = [_told(item, Recipe) for item in error.errors()]
        raise UsageError(
            f"{counted(len(mistakes), 'mistake')} in the recipe:\n" + "\n".join(f"  {line}" for line in mistakes),
            where=where,
            hint="sixfold schema prints every key with its meaning",
        ) from None


def one_stage(kind: str, config: dict[str, Any], changes: Sequence[str], *, name: str, seed: int) -> Recipe:
    """A recipe of one stage.

    Args:
        config: the stage's keys.
        name: is made fit for a folder's name; the kind of stage where nothing is left of it.
        changes: ``KEY=VALUE`` with dots for nested keys; values are read as YAML.

    Raises:
        UsageError: a change without ``=``, or keys and values that are wrong.
    """
    content = json.loads(json.dumps(config)) if _is_plain(config) else dict(config)
    for change in changes:
        _set(content, change)
    return parse({"name": folder_name(name) or kind, "seed": seed, "stages": [{kind: content}]}, where="flags")


def _set(content: dict[str, Any], change: str) -> None:
    """Put one ``KEY=VALUE`` in its place, in place."""
    path, separator, value = change.partition("=")
    if not separator:
        raise UsageError("--set takes KEY=VALUE", found=change, hint="such as --set train.epochs=5")
    *parents, last = path.split(".")
    here = content
    for part in parents:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise UsageError(f"--set: {part} holds a value, and no keys", found=change)
    try:
        here[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError("--set: the value cannot be read as YAML", found=change, hint=_QUOTED) from error
    # YAML reads {a:b} as the key "a:b" without a value.
    if isinstance(here[last], dict) and any(":" in str(key) and here[last][key] is None for key in here[last]):
        raise UsageError("--set: a blank must stand after each colon", found=change, hint=_QUOTED)


def _is_plain(config: Any) -> bool:
    try:
        json.dumps(config)
    except TypeError:
        return False
    return True


def finetune_run(
    source: Any,
    *,
    task: str = "text_classification",
    base: str | None = "minilm-l6",
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 13,
    runs: str | Path = "runs",
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Fine-tune from Python: rows in, a run out.

    Args:
        source: a file, a catalogue name, a pandas DataFrame, a list of dicts, a ``datasets.Dataset`` or DatasetDict.
        task: ``classify``, ``entities``, or a task's full name.
        base: a catalogue name, a folder, or ``hf:owner/name``.
        name: names the run's folder; left out, what the source is called (``finetune`` for rows in memory).
        columns: role to column, where the names do not tell.
        quiet: print nothing.
        options: further keys of the stage: ``train={"epochs": 5}``, ``on_long="truncate"`` …

    Raises:
        SixfoldError: whatever is wrong with the rows, the base or the options.
    """
    from rich.console import Console

    from sixfold.train.progress import shown

    given = dict(options.pop("data", {}))
    config = {"task": task, "data": {"source": source, "columns": dict(columns or {}), **given}, **options}
    if "scratch" not in config:
        config["base"] = base
    console = Console(highlight=False, quiet=quiet)
    told = Told(console.print, lambda events: shown(events, console))
    recipe = one_stage("finetune", config, (), name=name or run_name(source), seed=seed)
    return run(recipe, runs=Path(runs), told=told)


def _told(item: Mapping[str, Any], model: type[BaseModel]) -> str:
    """One validation error as a sentence, with the nearest key where a key is unknown."""
    path = ".".join(str(part) for part in item["loc"]) or "recipe"
    if item["type"] == "extra_forbidden":
        known = _keys_at(model, item["loc"][:-1])
        near = nearest(str(item["loc"][-1]), known)
        advice = f"; did you mean {near!r}?" if near else f"; known here: {', '.join(known)}"
        return f"{path}: there is no such key{advice}"
    message = re.sub(r"^Value error, ", "", item["msg"])
    told_already = item["type"] == "missing" or isinstance(item["input"], dict | BaseModel)
    found = "" if told_already else f" (found: {item['input']!r})"
    near = None
    if item["type"] == "literal_error":
        near = nearest(str(item["input"]), re.findall(r"'([^']*)'", item["ctx"]["expected"]))
    advice = f"; did you mean {near!r}?" if near else ""
    return f"{path}: {message[0].lower() + message[1:]}{found[:120]}{advice}"


def _keys_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys that a nested model knows at a place in the recipe."""
    here = model
    for part in path:
        if isinstance(part, int):
            continue
        inner = here.model_fields.get(str(part))
        if inner is None:
            continue
        here = next((kind for kind in _models_in(inner.annotation)), here)
    return list(here.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


@dataclass(frozen=True)
class Done:
    """What one stage of a run left.

    Attributes:
        name: the stage's folder inside the run.
        results: its plain results.
        skipped: whether it stood already, unchanged.
        checkpoint: what it made; None of a stage that makes none, or refused its own.
    """

    name: str
    folder: Path
    results: dict[str, Any] = field(repr=False)
    skipped: bool
    checkpoint: Path | None

    @property
    def refused(self) -> dict[str, Any] | None:
        """Why the stage refused its own result, as the parts of an error; it left no checkpoint then."""
        return self.results.get("refused")


@dataclass(frozen=True)
class Run:
    """A recipe that was run. Shows its report in Jupyter."""

    folder: Path
    stages: tuple[Done, ...]
    report: Path

    @property
    def model(self) -> Model:
        """The last model that a stage of the run made, ready to predict. Raises UsageError where none does."""
        from sixfold.commands.predict import Model

        if self.checkpoint is None:
            raise UsageError("no stage of this run makes a model", where=self.folder)
        return Model.load(self.checkpoint)

    def _repr_html_(self) -> str:
        from sixfold.commands.report import summary

        return summary(self.folder)

    @property
    def checkpoint(self) -> Path | None:
        """The last one that a stage of the run made; None where no stage makes one."""
        return next((stage.checkpoint for stage in reversed(self.stages) if stage.checkpoint), None)


@dataclass(frozen=True)
class Told:
    """Whom a run tells what it does."""

    tell: Callable[[str], None] = field(default=lambda line: None)
    watch: Watch = field(default=lambda events: iter(events))
    stop: Callable[[], bool] = field(default=lambda: False)


def run(recipe: Recipe, *, runs: Path = Path("runs"), told: Told | None = None) -> Run:
    """Run the stages in order into ``runs/<name>``.

    A stage whose inputs (config, data digest, parent digest, seed, the stage's code version) are those of the last
    time is skipped; one that broke goes on from its last saved state.

    Raises:
        UsageError: the recipe asks for what several processes cannot do.
        GateError: a stage refused its own result; its results and the report are written all the same.
        SixfoldError: whatever a stage refuses; Interrupted after Ctrl-C, with the state saved.
    """
    told = told or Told()
    folder = runs / recipe.name
    done: list[Done] = []
    parent: Path | None = None
    stages = chosen(recipe)
    many.refuse_run(stage.config.train for stage in stages if hasattr(stage.config, "train"))
    with owned(folder):
        write_json(folder / LISTED, {"stages": [stage.folder for stage in stages]})
        for stranger in strangers(folder):
            told.tell(f"[dim]{stranger} is not in the recipe: left as it is, and left out[/]")
        for stage in stages:
            context = Context(folder / stage.folder, recipe.seed, parent, told.tell, told.watch, told.stop)
            told.tell(stage.headline)
            done.append(_stage(stage.kind, stage.config, context))
            parent = done[-1].checkpoint or parent
            if done[-1].refused:
                break
        from sixfold.commands.report import write_report

        report = write_report(folder)
        if done[-1].refused:
            raise GateError(**done[-1].refused, where=report)
        return Run(folder, tuple(done), report)


@dataclass(frozen=True)
class Chosen:
    """A stage of a recipe.

    Attributes:
        folder: its name inside the run.
        headline: what a person is told when it begins.
    """

    kind: str
    config: Any
    folder: str
    headline: str


def chosen(recipe: Recipe) -> list[Chosen]:
    """The recipe's stages, in order."""
    found = []
    for number, entry in enumerate(cast(list[BaseModel], recipe.stages), 1):
        (kind,) = entry.model_fields_set
        config = getattr(entry, kind)
        name = config.name or kind
        headline = f"[bold]{number}/{len(recipe.stages)} {kind}[/] {name}"
        found.append(Chosen(kind, config, f"{number:02d}-{name}", headline))
    return found


def _stage(kind: str, config: Any, context: Context) -> Done:
    module = STAGES[kind]
    prepared = module.prepare(config, context)
    inputs = _inputs(kind, module.VERSION, config, prepared.digests, context.seed)
    fingerprint = _fingerprint(inputs)
    note = context.folder / DONE
    before = _read(note)
    old = _as_now(module, before.get("inputs") or {})
    same = _fingerprint(old) == fingerprint
    results = _read(context.folder / "results.json")
    whole = (context.folder / module.LEAVES).exists() or results.get("refused")
    if same and before.get("status") in (FINISHED, REFUSED) and results and whole:
        context.tell("  unchanged: skipped")
        return _done(module, context, results, skipped=True)
    if not same:
        changes = _changes(old, inputs)
        if before.get("status") not in (FINISHED, REFUSED) and context.unfinished:
            raise _other_training(context, changes if before else {})
        if before:
            changed = ", ".join(changes) or "nothing known"
            context.tell(f"  changed since the last run ({changed}): starts anew")
        shutil.rmtree(context.training, ignore_errors=True)
    write_json(note, {"fingerprint": fingerprint, "status": "started", "kind": kind, "inputs": inputs})
    results = module.run(config, context, prepared)
    if results is None:
        raise Interrupted("stopped; the state is saved", where=context.folder, hint="run the same command to go on")
    write_json(context.folder / "results.json", results)
    status = REFUSED if results.get("refused") else FINISHED
    write_json(note, {"fingerprint": fingerprint, "status": status, "kind": kind, "inputs": inputs})
    return _done(module, context, results, skipped=False)


def _done(module: Any, context: Context, results: dict[str, Any], *, skipped: bool) -> Done:
    made = context.checkpoint.name == module.LEAVES and not results.get("refused")
    return Done(context.folder.name, context.folder, results, skipped, context.checkpoint if made else None)


def _inputs(kind: str, version: int, config: Any, digests: Mapping[str, str], seed: int) -> dict[str, Any]:
    return {
        "stage": kind,
        "version": version,
        "seed": seed,
        "config": config.model_dump(mode="json"),
        "data": dict(digests),
    }


def _fingerprint(inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _as_now(module: Any, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stage's earlier inputs as this version writes them: a key that it lacked has its default, a name its full form.

    So a finished stage stays finished when the recipe learns a new key.
    """
    try:
        return {**inputs, "config": module.Config.model_validate(inputs["config"]).model_dump(mode="json")}
    except (KeyError, ValidationError):
        return inputs


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Which inputs changed, by name: the old value and the new one."""
    old, new = dict(show.flat(before)), dict(show.flat(now))
    return {
        key: (old.get(key), new.get(key)) for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)
    }


def _other_training(context: Context, changes: Mapping[str, tuple[Any, Any]]) -> UsageError:
    """A training that was stopped is worth hours: a slip in the recipe must not throw it away."""
    told = "; ".join(f"{key}: {_value(key, old)} -> {_value(key, new)}" for key, (old, new) in changes.items())
    return UsageError(
        "a training was stopped here, and its inputs have changed since",
        where=context.training,
        found=told or f"{DONE}, which said what they were, is missing or damaged",
        hint=f"to go on, put back what changed; to start anew, delete {context.training} or give the run another name",
    )


def _value(key: str, value: Any) -> str:
    """A value as a recipe has it; of a digest as much as tells two apart."""
    return str(value)[:12] if key.startswith("data.") and value is not None else json.dumps(value, ensure_ascii=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}
