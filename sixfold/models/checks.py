"""What a model folder must hold before anything loads it, and what it must not. No weights are read.

transformers, handed a folder, would also look for pickles, adapters, remote code and attention kernels of the
hub. Each of these is refused here by name, and ``load.py`` reads the safetensors itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sixfold.errors import ModelError

PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
MAX_JSON_BYTES = 64 << 20
MAX_HEADER_BYTES = 100 << 20  # the bound that safetensors itself sets


def check(folder: Path) -> tuple[Path, ...]:
    """The weight files of a model folder, after everything in it has been found fit to load.

    Raises:
        ModelError: no or damaged configuration, code or pickles instead of data, weights missing or cut
            short, no tokenizer.
    """
    check_config(folder)
    if (folder / "adapter_config.json").exists():
        raise ModelError(
            "this folder holds an adapter, which cannot be loaded as a model",
            where=folder / "adapter_config.json",
            hint="merge it into its base model first (peft: merge_and_unload, then save_pretrained)",
        )
    files = weight_files(folder)
    for file in files:
        check_safetensors(file)
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ModelError(
            "the model has no tokenizer",
            where=folder,
            found=listing(folder),
            hint=f"put the tokenizer of its base model beside it ({', '.join(TOKENIZERS[:3])} …)",
        )
    return files


def check_config(folder: Path) -> None:
    """Refuse configurations that name code to run or to fetch.

    Raises:
        ModelError: with the key that names it.
    """
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        path = folder / name
        if name != "config.json" and not path.exists():
            continue
        for key, value in walk(read_json(path)):
            if key == "auto_map" and value:
                raise ModelError(
                    "this model brings Python code of its own, which is never run here",
                    where=f"{path}: auto_map",
                    found=value,
                    hint="use a model whose architecture is part of transformers",
                )
            if key.endswith("_implementation") and isinstance(value, str) and "/" in value:
                raise ModelError(
                    "this model names a kernel to fetch and run, which is never done here",
                    where=f"{path}: {key}",
                    found=value,
                    hint=f"delete {key} from {name}",
                )
            if key == "quantization_config" and value:
                raise ModelError(
                    "this model is quantised, and only whole weights can be trained and checked",
                    where=f"{path}: quantization_config",
                    hint="use the model that it was quantised from",
                )


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and its value in nested JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ModelError: it is missing, too large, or something else.
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ModelError("a file of the model is too large to be what its name says", where=path)
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("a file of the model cannot be read", where=path, found=error) from error
    if not isinstance(found, dict):
        raise ModelError("a file of the model is not a JSON object", where=path)
    return found


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model, one or the shards that its index lists; pickles do not count.

    Raises:
        ModelError: there are none.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if index.is_file():
        shards = read_json(index).get("weight_map")
        names = sorted(set(shards.values())) if isinstance(shards, dict) else []
        for name in names:
            if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
                raise ModelError("the index names something that is not a shard", where=index, found=name)
            if not (folder / name).is_file():
                raise ModelError("a shard of the weights is missing", where=folder / name, found=listing(folder))
        if names:
            return tuple(folder / name for name in names)
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if pickles:
        raise ModelError(
            "the weights are pickles, which can run code when they are opened; they were not opened",
            where=folder,
            found=", ".join(pickles[:5]),
            hint="use a release with model.safetensors (most hub models have one)",
        )
    raise ModelError("the model has no weights (model.safetensors)", where=folder, found=listing(folder))


def check_safetensors(path: Path) -> None:
    """Compare a safetensors file with what its own header says (8 bytes of length, JSON, data).

    Raises:
        ModelError: the file is cut short or damaged, with expected and found bytes.
    """
    found = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if found < 8 or length > min(MAX_HEADER_BYTES, found - 8):
            raise damaged(path, f"{found:,} bytes, and a header of {length:,} bytes")
        try:
            header = json.loads(file.read(length))
            ends = [row["data_offsets"][1] for name, row in header.items() if name != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise damaged(path, "an unreadable header") from error
    if found != expected:
        raise damaged(path, f"{found:,} bytes where its header says {expected:,}")


def damaged(path: Path, found: str) -> ModelError:
    return ModelError(
        "the weights are cut short or damaged",
        where=path,
        found=found,
        hint="take the previous checkpoint, or fetch the model again",
    )


def listing(folder: Path) -> str:
    """What a folder holds, for a message."""
    names = sorted(path.name for path in folder.iterdir())
    return (", ".join(names[:8]) + (" …" if len(names) > 8 else "")) or "an empty folder"
