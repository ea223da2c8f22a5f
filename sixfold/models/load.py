"""A model folder and a head, to a model and a tokenizer; every weight that is new or unused is named.

Finding the folder is in ``resolve.py``, what may be in it in ``checks.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sixfold.errors import ModelError, UsageError, unknown
from sixfold.models import checks, lineage
from sixfold.models.head import LABELLED, MAPPINGS, Head
from sixfold.models.quiet import quiet, told
from sixfold.models.resolve import Source, resolve
from sixfold.models.tokenizer import load_tokenizer, settle_padding

ATTENTION = ("eager", "sdpa", "flash_attention_2", "flex_attention")
DTYPES = ("float32", "bfloat16", "float16")

LABEL_HEADS = {"classifier", "score", "classification_head", "pre_classifier", "qa_outputs", "logits_proj"}
"""Modules that turn hidden states into labels. Heads of different tasks may share a name and even a shape."""

HEADS = LABEL_HEADS | {
    *(
        "pooler",
        "cls",
        "lm_head",
        "lm_predictions",
        "mask_predictions",
        "generator_predictions",
        "generator_lm_head",
    ),
    *("discriminator_predictions", "vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_bias"),
    *("predictions", "seq_relationship", "sequence_summary", "final_logits_bias", "embed_out", "dropout"),
    "head",  # ModernBERT's: one layer in front of each of its heads
}
"""Modules that stand on a base model in transformers, by the first part of a weight's name."""

VOCABULARY_HEAD = {"decoder.weight", "decoder.bias"}
"""ModernBERT's, by whole names: a ``decoder`` with layers in it belongs to the base."""


@dataclass(frozen=True)
class Loaded:
    """A model, ready for training or prediction (in evaluation mode, on the CPU).

    Attributes:
        model: a transformers model of the class that the head asked for.
        tokenizer: its tokenizer; ``model_max_length`` is the model's own limit.
        digest: SHA-256 that names the checkpoint it came from.
        source: where it came from.
        new_weights: names of the weights that were not in the checkpoint and are random.
        unused_weights: names of the weights of the checkpoint that this model has no place for.
        notes: what was decided on the way, with the reason, to be shown.
    """

    model: Any
    tokenizer: Any
    digest: str
    source: Source
    new_weights: tuple[str, ...]
    unused_weights: tuple[str, ...]
    notes: tuple[str, ...] = ()


def load(
    ref: str | Path,
    head: Head,
    *,
    seed: int = 0,
    dtype: str | None = None,
    dropout: float | None = None,
    attention_dropout: float | None = None,
    attention: str | None = None,
    new_head: bool = False,
) -> Loaded:
    """Load a model with the head a task needs.

    Args:
        ref: a local folder, a name of the catalogue, or ``hf:owner/name``.
        head: the head. With a labelled kind and no labels, the checkpoint's own head is meant.
        seed: of the random weights of a new head; the same seed gives the same head.
        dtype: ``float32`` (the default, whatever the checkpoint was stored in), ``bfloat16``, ``float16``.
        dropout: in place of the configuration's, everywhere but in attention.
        attention_dropout: in place of the configuration's, in attention (``dropout`` if only that is given).
        attention: ``eager``, ``sdpa`` ...; by default what transformers finds best.
        new_head: put a new head on even if the checkpoint has one of this kind.

    Raises:
        UsageError: no such model, attention, dtype.
        ModelError: the model cannot be used (``checks.py``); its head has other labels; weights of the base
            are missing or left over.
    """
    if attention is not None and attention not in ATTENTION:
        raise unknown("attention", attention, ATTENTION)
    if dtype is not None and dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    source = resolve(ref)
    with quiet():
        config, tokenizer = _config_and_tokenizer(source.folder)
        notes = settle_padding(tokenizer, config)
        set_dropout(config, dropout, dropout if attention_dropout is None else attention_dropout)
        architecture = _model_class(config, head, source.folder)
        same_class = architecture.__name__ in (config.architectures or ())
        keeps_head = same_class and not (new_head and head.kind in LABELLED)
        _settle_labels(config, head, keeps_head, source.folder)
        weights = _read_weights(source.weights)
        dropped = [] if keeps_head else _drop_label_head(weights, head, architecture.base_model_prefix)
        config._attn_implementation = attention
        model, missing, left = _build(architecture, config, weights, dtype or "float32", seed, source.folder)
        _settle_generation(model, source.folder)
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id == tokenizer.eos_token_id:
        # With padding_idx set, an end-of-text token that doubles as padding would get no gradient.
        model.get_input_embeddings().padding_idx = None
    prefix = architecture.base_model_prefix
    _refuse_unexplained(missing, left, head, prefix, keeps_head, source.folder)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        digest=lineage.digest_folder(source.folder),
        source=source,
        new_weights=tuple(sorted(missing)),
        unused_weights=tuple(sorted([*left, *dropped])),
        notes=notes,
    )


def _config_and_tokenizer(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each configuration class raises errors of its own
        raise told("the configuration of the model cannot be used", folder / "config.json", error) from error
    return config, load_tokenizer(folder, config)


def set_dropout(config: Any, dropout: float | None, attention: float | None) -> None:
    """Set every dropout rate that a configuration has (their names differ between architectures), in place.

    Raises:
        UsageError: a rate outside [0, 1).
    """
    for name, value in config.to_dict().items():
        if "drop" not in name or "layerdrop" in name or "path" in name:
            continue
        wanted = attention if "att" in name else dropout
        if wanted is None or not (value is None or isinstance(value, int | float)):
            continue
        if not 0 <= wanted < 1:
            raise UsageError("a dropout rate is at least 0 and less than 1", found=wanted)
        setattr(config, name, float(wanted))


def _model_class(config: Any, head: Head, folder: Path) -> Any:
    """The class of transformers for this configuration and head."""
    import transformers

    mapping = getattr(transformers, MAPPINGS[head.kind])
    try:
        found = mapping[type(config)]
    except KeyError:
        raise ModelError(
            f"the architecture {config.model_type} has no {head.kind.replace('_', ' ')} head",
            where=folder,
            hint="choose an encoder for masked_lm, a decoder for causal_lm; both can classify",
        ) from None
    if isinstance(found, tuple):
        named = [each for each in found if each.__name__ in (config.architectures or ())]
        return (named or list(found))[0]
    return found


def _settle_labels(config: Any, head: Head, keeps_head: bool, folder: Path) -> None:
    """Compare the labels with those of the head that is there, or write those of the new head.

    Raises:
        ModelError: the head that is there has other labels, or none is there and none are given.
    """
    if head.kind not in LABELLED:
        return
    problem = "multi_label_classification" if head.multi_label else "single_label_classification"
    if keeps_head:
        there = tuple(config.id2label[index] for index in sorted(config.id2label))
        if head.labels and head.labels != there:
            raise _other_labels(there, head.labels, folder)
        if head.labels and config.problem_type not in (None, problem) and head.kind == "text_classification":
            raise ModelError(
                "the head of this checkpoint answers another question: one label, or several at once",
                where=folder,
                found=config.problem_type.replace("_", " "),
                hint="change the task, or ask for a new head",
            )
        return
    if not head.labels:
        raise ModelError(
            f"this checkpoint has no {head.kind.replace('_', ' ')} head to use",
            where=folder,
            found=", ".join(config.architectures or ()) or "no architecture in config.json",
            hint="fine-tune it first (sixfold finetune), or give labels",
        )
    config.id2label = dict(enumerate(head.labels))
    config.label2id = {label: index for index, label in enumerate(head.labels)}
    if head.kind != "token_classification":
        config.problem_type = problem


def _other_labels(there: tuple[str, ...], wanted: tuple[str, ...], folder: Path) -> ModelError:
    same = set(there) == set(wanted)
    return ModelError(
        "the head of this checkpoint has "
        + ("the same labels in another order" if same else "other labels than the data"),
        where=folder,
        found=f"checkpoint: {_shown(there)}; asked for: {_shown(wanted)}",
        hint="give the labels in the checkpoint's order"
        if same
        else "use data with these labels, or ask for a new head (the old one is then thrown away)",
    )


def _shown(labels: tuple[str, ...]) -> str:
    return ", ".join(labels[:20]) + (f" … ({len(labels)} in all)" if len(labels) > 20 else "")


def _read_weights(files: tuple[Path, ...]) -> dict[str, Any]:
    """All tensors by name. Read here, so that transformers never tries another format."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights: dict[str, Any] = {}
    for file in files:
        try:
            # Copied: load_file gives views of the mapped file, and who changes the file changes the model.
            weights.update({name: tensor.clone() for name, tensor in load_file(file).items()})
        except (SafetensorError, OSError) as error:
            raise checks.damaged(file, str(error)) from error
    return weights


def _drop_label_head(weights: dict[str, Any], head: Head, prefix: str) -> list[str]:
    """Take the weights of a head that answers another question out of ``weights``; their names.

    Without this a token classifier's weights would be taken for a text classifier's: same name and shape.
    """
    if head.kind not in LABELLED and head.kind != "question_answering":
        return []
    names = [name for name in weights if _module(name, prefix) in LABEL_HEADS]
    for name in names:
        del weights[name]
    return names


def _module(name: str, prefix: str) -> str:
    return name.removeprefix(prefix + ".").split(".")[0]


def _build(
    architecture: Any, config: Any, weights: dict[str, Any], dtype: str, seed: int, folder: Path
) -> tuple[Any, set[str], set[str]]:
    """The model, the names of its random weights, the names of weights that were not used."""
    import torch

    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would also reseed the GPUs' generators, and those are not put back.
        torch.default_generator.manual_seed(seed)
        try:
            model, info = architecture.from_pretrained(
                None,
                config=config,
                state_dict=weights,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                output_loading_info=True,
            )
        except (ValueError, RuntimeError, ImportError, TypeError, AttributeError) as error:
            raise told("the weights do not fit the configuration of the model", folder, error) from error
    return model, set(info["missing_keys"]), set(info["unexpected_keys"])


def _settle_generation(model: Any, folder: Path) -> None:
    if not model.can_generate() or not (folder / "generation_config.json").is_file():
        return
    from transformers import GenerationConfig

    try:
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, TypeError, OSError) as error:
        raise told("the generation settings cannot be read", folder / "generation_config.json", error) from error


def _refuse_unexplained(
    missing: set[str], left: set[str], head: Head, prefix: str, keeps_head: bool, folder: Path
) -> None:
    """Random weights in the base, or weights that found no place, mean a model that is not what it was.

    Raises:
        ModelError: they are named.
    """
    pooled = head.kind in ("none", "embedding")  # a pooler is a head too: these two may lack it

    def explains(name: str) -> bool:
        module = _module(name, prefix)
        return module in HEADS and (not keeps_head or (pooled and module == "pooler"))

    unexplained = sorted(name for name in missing if not explains(name))
    if unexplained:
        raise ModelError(
            f"{len(unexplained)} weights are missing from the checkpoint and would be random",
            where=folder,
            found=_shown(tuple(unexplained)),
            hint="fetch or save the model again; config.json may belong to another model",
        )
    known = {name for name in left if _module(name, prefix) in HEADS or "pooler" in name or name in VOCABULARY_HEAD}
    leftover = sorted(left - known)
    if leftover:
        raise ModelError(
            f"{len(leftover)} weights of the checkpoint have no place in this architecture",
            where=folder,
            found=_shown(tuple(leftover)),
            hint="config.json may belong to another model, or name fewer layers than there are",
        )
