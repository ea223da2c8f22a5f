"""From a GGUF to a checkpoint of fp32 safetensors, once. (Writing a GGUF is the business of export.)"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from sixfold.errors import ModelError
from sixfold.models import lineage
from sixfold.models.quiet import quiet
from sixfold.models.save import save


def convert(path: Path, folder: Path, *, digest: str) -> None:
    """Write the decoder of a GGUF as a checkpoint: weights in fp32, tokenizer, chat template.

    The tensors are read by ``load_gguf_checkpoint``, not by ``from_pretrained(gguf_file=...)``: that needs
    accelerate, in 5.23 fetches and runs a kernel from the hub where the package ``kernels`` is installed, and
    leaves a ``quantization_config`` with which the model can no longer be saved.

    Args:
        path: the GGUF.
        folder: where the checkpoint goes; appears whole or not at all.
        digest: SHA-256 of the GGUF, the parent in the lineage.

    Raises:
        ModelError: transformers does not know the architecture, or the weights do not fit it.
        StorageError: the disk is full.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    where = {"gguf_file": path.name, "local_files_only": True, "trust_remote_code": False}
    # Its progress bar knows no switch.
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        try:
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
            config = AutoConfig.from_pretrained(path.parent, **where)
            if hasattr(config, "quantization_config"):
                del config.quantization_config
            config.name_or_path = ""
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
            lacking = model.load_state_dict(tensors, strict=False)
        except (ValueError, KeyError, RuntimeError, ImportError) as error:
            raise ModelError("the GGUF cannot be converted", where=path, found=error) from error
        tied = set(model.all_tied_weights_keys)
        if lacking.unexpected_keys or set(lacking.missing_keys) - tied:
            raise ModelError(
                "the weights of the GGUF do not fit its architecture",
                where=path,
                found=f"missing {lacking.missing_keys}, left over {lacking.unexpected_keys}",
            )
        model.tie_weights()
        tokenizer.model_max_length = config.max_position_embeddings
    save(model, tokenizer, folder, lineage.build(parent=digest, converted_from=path.name))
