"""A decoder as one GGUF file: weights, tokenizer and chat template, for engines that read no safetensors.

The format is llama.cpp's (github.com/ggml-org/ggml, docs/gguf.md); names and values are written by its own package
``gguf``. Only what the format can express exactly is written: Llama and Qwen, and tokenizers of byte-level BPE that
split a text as GPT-2, SmolLM or Qwen2 do. Everything else is refused, since an engine would read other tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sixfold.errors import ModelError, unknown
from sixfold.fetch.folders import replacing_file

Kind = Literal["f16", "q8_0", "f32"]
KINDS: tuple[str, ...] = get_args(Kind)
ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""Our model type and the format's name of it."""
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7}
"""The format's numbers (LlamaFileType) of what most tensors are."""
_BLOCK = 32
"""Weights that share a scale in Q8_0."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        kind: of the matrices; norms are always fp32.
        wider: matrices kept at f16, since their rows do not divide into blocks.
    """

    path: Path
    kind: Kind
    bytes: int
    tensors: int
    wider: tuple[str, ...]


def export_gguf(model: Any, tokenizer: Any, path: Path, *, kind: str = "f16", name: str = "sixfold") -> Exported:
    """Write a decoder as a GGUF, whole or not at all.

    Args:
        model: a Llama or Qwen of transformers with its language-model head; adapters merged.
        tokenizer: its tokenizer; the chat template goes with it.
        kind: ``f16``, ``q8_0`` or ``f32``.

    Raises:
        UsageError: another kind.
        ModelError: an architecture or a tokenizer that the format cannot express.
        StorageError: the file cannot be written.
    """
    import gguf

    if kind not in KINDS:
        raise unknown("kind of GGUF", kind, KINDS)
    config = model.config
    split = pre_tokenizer(tokenizer)
    architecture = ARCHITECTURES.get(config.model_type)
    if architecture is None:
        raise ModelError(
            "a GGUF is written of Llama and Qwen decoders only",
            found=config.model_type,
            hint="generate with the torch engine, which runs every decoder",
        )
    wider: list[str] = []
    count = 0
    with replacing_file(path, parents=True) as temporary:
        writer = gguf.GGUFWriter(temporary, architecture)
        writer.add_name(name)
        writer.add_file_type(_FILE_TYPES[kind])  # openvino-genai reads no file without it
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _shape(writer, config)
        _tokens(writer, tokenizer, split, config.vocab_size)
        for told, values in _tensors(model, architecture):
            data, type_ = _stored(values, kind)
            if kind == "q8_0" and values.ndim > 1 and type_ == gguf.GGMLQuantizationType.F16:
                wider.append(told)
            writer.add_tensor(told, data, raw_dtype=type_)
            count += 1
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return Exported(path, kind, path.stat().st_size, count, tuple(wider))  # type: ignore[arg-type]


def _shape(writer: Any, config: Any) -> None:
    """The model's numbers."""
    import gguf

    rope = dict(getattr(config, "rope_parameters", None) or {})
    if rope.get("rope_type", "default") not in ("default", "linear"):
        raise ModelError(
            "the format is not written with this scaling of the rotary embedding",
            found=rope["rope_type"],
            hint="pretrain with extend: {rope: base}, or generate with the torch engine",
        )
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(rope.get("rope_theta", 10_000.0)))
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    writer.add_vocab_size(config.vocab_size)


def pre_tokenizer(tokenizer: Any) -> str:
    """The format's name for how the tokenizer splits a text before its merges.

    Raises:
        ModelError: the format has no name for it, so an engine would read other tokens.
    """
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    model, pre = told["model"], told.get("pre_tokenizer") or {}
    steps = pre.get("pretokenizers", [pre]) if pre.get("type") == "Sequence" else [pre]
    kinds = [step.get("type") for step in steps]
    found = f"{model['type']}, split by {', '.join(map(str, kinds))}"
    if model["type"] == "BPE" and not model.get("byte_fallback") and not steps[-1].get("add_prefix_space"):
        normal = (told.get("normalizer") or {}).get("type")
        if kinds == ["ByteLevel"] and steps[0].get("use_regex") and normal is None:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"] and normal is None:
            return "smollm"
        if kinds == ["Split", "ByteLevel"] and steps[0]["pattern"] == {"Regex": _QWEN2} and normal in (None, "NFC"):
            return "qwen2"
    raise ModelError(
        "the tokenizer cannot be written into a GGUF: engines would read other tokens",
        found=found,
        hint="generate with the torch engine; a tokenizer of `sixfold tokenizer train --kind bpe` can be written",
    )


def _tokens(writer: Any, tokenizer: Any, split: str, rows: int) -> None:
    """Vocabulary, merges, special tokens, template. Rows of the embedding without a token get a name of their own."""
    import gguf

    told = json.loads(tokenizer.backend_tokenizer.to_str())
    special = {one["id"]: one["special"] for one in told["added_tokens"]}
    by_id = {number: token for token, number in tokenizer.get_vocab().items()}
    names, types = [], []
    for number in range(rows):
        names.append(by_id.get(number, f"[unused {number}]"))
        if number not in by_id:
            types.append(gguf.TokenType.UNUSED)
        elif number in special:
            types.append(gguf.TokenType.CONTROL if special[number] else gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split)
    writer.add_token_list(names)
    writer.add_token_types(types)
    merges = [one if isinstance(one, str) else " ".join(one) for one in told["model"]["merges"]]
    writer.add_token_merges(merges)
    for number, add in (
        (tokenizer.bos_token_id, writer.add_bos_token_id),
        (tokenizer.eos_token_id, writer.add_eos_token_id),
        (tokenizer.pad_token_id, writer.add_pad_token_id),
        (tokenizer.unk_token_id, writer.add_unk_token_id),
    ):
        if number is not None:
            add(number)
    writer.add_add_bos_token(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _tensors(model: Any, architecture: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The format's name of each tensor, and its values."""
    import gguf

    config = model.config
    names = gguf.get_tensor_name_map(
        {each: key for key, each in gguf.MODEL_ARCH_NAMES.items()}[architecture], config.num_hidden_layers
    )
    tied = set(getattr(model, "all_tied_weights_keys", None) or {}) if config.tie_word_embeddings else set()
    weights: Mapping[str, Any] = model.state_dict()
    for name, tensor in weights.items():
        if name in tied:
            continue
        told = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if told is None:
            raise ModelError("the format has no name for a weight of the model", found=name)
        values = tensor.detach().float().cpu().numpy()
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            values = _interleaved(values, heads)
        yield told, np.ascontiguousarray(values)


def _interleaved(values: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows in the order of the format's Llama, which turns neighbours; ours turns each row with one half a head on."""
    rows, width = values.shape
    return values.reshape(heads, 2, rows // heads // 2, width).swapaxes(1, 2).reshape(rows, width)


def _stored(values: NDArray[np.float32], kind: str) -> tuple[NDArray[Any], Any]:
    """What is written for a tensor, and its type."""
    import gguf

    types = gguf.GGMLQuantizationType
    if values.ndim == 1 or kind == "f32":
        return values.astype(np.float32), types.F32
    if kind == "q8_0" and values.shape[-1] % _BLOCK == 0:
        return gguf.quants.quantize(values, types.Q8_0), types.Q8_0
    return values.astype(np.float16), types.F16
