"""An adapter as a folder: ``adapter_config.json`` and one file of weights, its own and those of its head.

The form is that of ``peft``, so that other tools read our low-rank updates; what is ours stands under "sixfold".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.errors import ModelError, UsageError
from sixfold.fetch import folders
from sixfold.models import checks
from sixfold.models.adapters import putting
from sixfold.models.adapters.kinds import KINDS, AdaLora, Adapter, Lora, kind_of
from sixfold.models.head import LABELLED, MAPPINGS, SENTENCE_ORDER, Head
from sixfold.models.save import KEY, full_disk

if TYPE_CHECKING:
    from torch import Tensor

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What peft puts before the names of a model's weights."""

_TASK_TYPES = {
    "text_classification": "SEQ_CLS",
    "sentence_order": "SEQ_CLS",
    "token_classification": "TOKEN_CLS",
    "question_answering": "QUESTION_ANS",
    "causal_lm": "CAUSAL_LM",
    "seq2seq_lm": "SEQ_2_SEQ_LM",
    "embedding": "FEATURE_EXTRACTION",
    "none": "FEATURE_EXTRACTION",
}

_FOREIGN = ("bias", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "fan_in_fan_out")
"""What peft's LoRA can do, and ours does not."""


@dataclass(frozen=True)
class Told:
    """What an adapter's folder says of it.

    Attributes:
        kind: ``lora``, ``adalora``, ``bottleneck`` or ``bitfit``.
        adapter: the same with its settings.
        base: what it belongs to, for a person.
        base_digest: what it belongs to (``Loaded.digest``); None where another tool wrote it.
        head: the head that stands on it.
        problem_type: as transformers has it.
        kept: settings of its task.
        parameters: numbers in its file, of updates and head; None where another tool wrote it.
        rows: training rows that it learnt from, where that was told.
    """

    kind: str
    adapter: Adapter
    base: str
    base_digest: str | None
    head: Head
    problem_type: str | None
    kept: Mapping[str, Any]
    parameters: int | None
    rows: int | None

    @property
    def labels(self) -> tuple[str, ...]:
        return self.head.labels


def save(
    model: Any,
    adapter: Adapter,
    folder: Path,
    *,
    base: str,
    base_digest: str,
    kept: Mapping[str, Any],
    rows: int | None = None,
) -> None:
    """Write an adapter and the head that stands on it, as a folder that appears whole or not at all.

    Args:
        model: that has the adapter.
        adapter: what was put on.
        folder: to write.
        base: what the adapter belongs to, for a person.
        base_digest: what it belongs to (``Loaded.digest``).
        kept: plain settings of the task, as a checkpoint has them under "sixfold".
        rows: training rows that it learnt from.

    Raises:
        StorageError: it could not be written.
    """
    from safetensors.torch import save_file

    names, head = putting.update_names(model, adapter), putting.head_names(model)
    assert names, "the model has no adapter of this kind"
    weights = {name: model.get_parameter(name).detach().cpu().contiguous() for name in (*names, *head)}
    standing = _head_of(model)
    told = {
        **_peft(model, adapter),
        "task_type": _TASK_TYPES.get(standing.kind),
        "base_model_name_or_path": base,
        "modules_to_save": sorted({_module(model, name) for name in head}) or None,
        "inference_mode": True,
        KEY: {
            "format": 1,
            "adapter": {"kind": kind_of(adapter), **asdict(adapter)},
            "base_digest": base_digest,
            "head": asdict(standing),
            "problem_type": getattr(model.config, "problem_type", None),
            "kept": dict(kept),
            "parameters": sum(value.numel() for value in weights.values()),
            "rows": rows,
        },
    }
    with folders.replacing(folder) as temporary, full_disk(folder):
        named = {PREFIX + name: value for name, value in weights.items()}
        save_file(named, temporary / WEIGHTS, metadata={"format": "pt"})
        text = json.dumps(told, indent=2, ensure_ascii=False)
        (temporary / CONFIG).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> Told:
    """What an adapter is, without its weights and without torch.

    Raises:
        ModelError: it is no adapter of ours, or is damaged.
    """
    from pydantic import TypeAdapter, ValidationError

    path = folder / CONFIG
    if not path.is_file():
        raise ModelError("this folder is no adapter: it has no adapter_config.json", where=folder)
    found = checks.read_json(path)
    own = found.get(KEY)
    if own is None:
        return _of_peft(found, path)
    try:
        settings = dict(own["adapter"])
        kind = str(settings.pop("kind"))
        if kind not in KINDS:
            raise ValueError(f"a kind that this version does not know: {kind}")
        odd = sorted(settings.keys() - KINDS[kind].__dataclass_fields__.keys())
        if odd:
            raise ValueError(f"settings that this version does not know: {', '.join(odd)}")
        adapter = TypeAdapter[Any](KINDS[kind]).validate_python(settings)
        standing = TypeAdapter(Head).validate_python(own["head"])
        counts = TypeAdapter(tuple[int, int | None]).validate_python((own["parameters"], own.get("rows")))
        kept = TypeAdapter(dict[str, Any]).validate_python(own["kept"])
        problem = TypeAdapter(str | None).validate_python(own.get("problem_type"))
        made_on = TypeAdapter(str).validate_python(own["base_digest"])
    except (ValidationError, UsageError, AssertionError, KeyError, TypeError, ValueError) as error:
        raise ModelError("what this adapter says of itself cannot be used", where=path, found=error) from error
    base = str(found.get("base_model_name_or_path"))
    return Told(kind, adapter, base, made_on, standing, problem, kept, *counts)


def _of_peft(found: Mapping[str, Any], path: Path) -> Told:
    """What peft itself says of a LoRA adapter. It names the base, and not which weights that had."""
    if found.get("peft_type") != "LORA":
        raise ModelError("this adapter of another tool is no LoRA", where=path, found=found.get("peft_type"))
    changed = [key for key in _FOREIGN if found.get(key) not in (None, False, "none", {}, [])]
    if changed:
        raise ModelError("this adapter of another tool does more than LoRA", where=path, found=", ".join(changed))
    targets = found.get("target_modules")
    try:
        if not isinstance(targets, list):
            raise ValueError(f"target_modules: {targets}")
        adapter = Lora(int(found["r"]), float(found["lora_alpha"]), tuple(map(str, targets)))
    except (UsageError, KeyError, TypeError, ValueError) as error:
        raise ModelError("what this adapter says of itself cannot be used", where=path, found=error) from error
    base = str(found.get("base_model_name_or_path"))
    return Told("lora", adapter, base, None, Head("none"), None, {}, None, None)


def load(model: Any, folder: Path, *, base_digest: str | None) -> Told:
    """Put a saved adapter, with its head, on its base. The model is untouched where that fails.

    Args:
        model: the base, with the head that the adapter names (``Told.head``).
        folder: what ``save`` wrote.
        base_digest: of the base (``Loaded.digest``). None: whatever the base, which is then for the caller to know.

    Raises:
        ModelError: it belongs to another base, has other labels, lacks its head, is of another shape, or is damaged.
    """
    import torch

    told = read(folder)
    if base_digest is not None:
        check_base(told, base_digest, folder)
    labels = _head_of(model).labels
    if told.base_digest is not None and told.head.labels != labels:
        raise ModelError(
            "the adapter's head has other labels than the model",
            where=folder,
            found=f"adapter: {', '.join(told.head.labels) or 'none'}; model: {', '.join(labels) or 'none'}",
            hint="load the base with the head that the adapter names",
        )
    given = _weights(folder)
    wanted = putting.update_shapes(model, told.adapter)
    standing = {name: tuple(model.get_parameter(name).shape) for name in putting.head_names(model)}
    missing = sorted(standing.keys() - given.keys())
    if missing:
        raise ModelError("the adapter lacks weights of its head", where=folder, found=", ".join(missing))
    wanted |= standing
    odd = sorted(wanted.keys() ^ given.keys())
    wrong = [
        f"{name} is {list(given[name].shape)} in place of {list(shape)}"
        for name, shape in wanted.items()
        if name in given and tuple(given[name].shape) != shape
    ]
    if odd or wrong:
        raise ModelError("the adapter does not fit this model", where=folder, found=", ".join((odd or wrong)[:3]))
    putting.add(model, told.adapter, seed=0)
    with torch.no_grad():
        for name, value in given.items():
            model.get_parameter(name).copy_(value)
    return told


def check_base(told: Told, base_digest: str, folder: Path) -> None:
    """Raises ModelError for an adapter that was made on another base, or does not say on which."""
    if told.base_digest is None:
        raise ModelError(
            "this adapter does not say to which base it belongs",
            where=folder / CONFIG,
            found="one of another tool, or of an older sixfold",
            hint="learn it again with sixfold",
        )
    if told.base_digest != base_digest:
        raise ModelError(
            "the adapter belongs to another base",
            where=folder,
            found=f"made on {told.base_digest[:12]} ({told.base}), and this base is {base_digest[:12]}",
            hint="use it with the base that it was made on",
        )


def updates(folder: Path) -> dict[str, tuple[Tensor, Tensor, float]]:
    """A [rank, in], B [out, rank] and what their product counts, by the path of the layer.

    Of AdaLoRA, Λ is in A already, and ranks that were taken away are left out.

    Raises:
        ModelError: it is another kind of adapter, or damaged.
    """
    told, weights = read(folder), _weights(folder)
    if isinstance(told.adapter, Lora):
        ends, scale = (".lora_A.weight", ".lora_B.weight"), told.adapter.alpha / told.adapter.rank
    elif isinstance(told.adapter, AdaLora):
        ends, scale = (".lora_A", ".lora_B"), told.adapter.alpha / told.adapter.start_rank
    else:
        raise ModelError("only lora and adalora are low-rank updates", where=folder, found=told.kind)
    found = {}
    for path in (name.removesuffix(ends[0]) for name in weights if name.endswith(ends[0])):
        try:
            down, up = (weights[path + end] for end in ends)
            if isinstance(told.adapter, AdaLora):
                values = weights[path + ".lora_E"][:, 0]
                left = values != 0
                down, up = values[left, None] * down[left], up[:, left]
        except (KeyError, IndexError, RuntimeError) as error:
            raise ModelError("an update of the adapter is damaged", where=folder, found=path) from error
        found[path] = (down, up, scale)
    return found


def head(folder: Path) -> dict[str, Tensor]:
    """The weights of an adapter's head, by their names in the model; none where the model has no labels.

    Raises:
        ModelError: it is no adapter of ours, or is damaged.
    """
    told = read(folder)
    if told.head.kind not in (*LABELLED, "question_answering"):
        return {}
    own = checks.read_json(folder / CONFIG).get("modules_to_save")
    modules = set(own) if isinstance(own, list) else set()
    return {name: value for name, value in _weights(folder).items() if modules.intersection(name.split(".")[:2])}


def digest(folder: Path) -> str:
    """SHA-256 that names an adapter: over its weights and what it says of itself."""
    import hashlib

    rows = [(name, folders.sha256(folder / name)) for name in (CONFIG, WEIGHTS)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of an adapter, by their names in the model."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelError("the adapter has no weights (adapter_model.safetensors)", where=folder)
    checks.check_safetensors(path)
    try:
        # Copied: load_file gives views of the mapped file, and who changes the file changes the model.
        return {name.removeprefix(PREFIX): value.clone() for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise checks.damaged(path, str(error)) from error


def _module(model: Any, name: str) -> str:
    """The module of the head that a weight is in: pooler, classifier …"""
    inside = f"{model.base_model_prefix}."
    return name.removeprefix(inside).split(".")[0] if name.startswith(f"{inside}pooler.") else name.split(".")[0]


def _peft(model: Any, adapter: Adapter) -> dict[str, Any]:
    """What peft wants to know of a kind; it knows none but the first two."""
    if isinstance(adapter, Lora):
        kind = {
            "peft_type": "LORA",
            "r": adapter.rank,
            "lora_alpha": adapter.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
        }
    elif isinstance(adapter, AdaLora):
        kind = {
            "peft_type": "ADALORA",
            "init_r": adapter.start_rank,
            "target_r": adapter.rank,
            "lora_alpha": adapter.alpha,
            "lora_dropout": 0.0,
            "bias": "none",
            "beta1": adapter.beta1,
            "beta2": adapter.beta2,
            "deltaT": adapter.every,
            "orth_reg_weight": adapter.orthogonal,
            "tinit": 0,
            "tfinal": 0,
            "total_step": 1,  # peft refuses an adapter without one, though it is done with its steps
        }
    else:
        return {"peft_type": kind_of(adapter).upper()}
    return {**kind, "target_modules": _targets(model)}


def _targets(model: Any) -> list[str]:
    """Last names of the updated layers, or whole paths where another layer has such a name too (a pooler's)."""
    from torch import nn

    paths = [path for path, _ in putting.wrapped(model)]
    short = {path.rpartition(".")[2] for path in paths}
    own = tuple(f"{path}." for path in paths)
    others = [path for path, layer in model.named_modules() if type(layer) is nn.Linear and not path.startswith(own)]
    clash = any(path.rpartition(".")[2] in short for path in others)
    return sorted(paths if clash else short)


def _head_of(model: Any) -> Head:
    """Which head a model has, by the tables of transformers."""
    import transformers

    for kind, mapping in MAPPINGS.items():
        try:
            found = getattr(transformers, mapping)[type(model.config)]
        except KeyError:
            continue
        if type(model) not in (found if isinstance(found, tuple) else (found,)):
            continue
        if kind not in LABELLED:
            return Head(kind)  # type: ignore[arg-type]
        config = model.config
        labels = tuple(str(config.id2label[index]) for index in sorted(config.id2label))
        several = getattr(config, "problem_type", None) == "multi_label_classification"
        order = kind == "text_classification" and labels == SENTENCE_ORDER
        return Head("sentence_order" if order else kind, labels, several)  # type: ignore[arg-type]
    raise ModelError("no head is known that this model has", found=type(model).__name__)
