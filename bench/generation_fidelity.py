"""Do both engines write the same? Greedy text of 100 prompts, 32 tokens each; where they part, how near the tie was.

    python bench/generation_fidelity.py
    python bench/generation_fidelity.py --llama      # llama.cpp's own logits too; it is compiled on first use

The torch engine computes in fp32 with the weights that the file holds (rounded to f16), the fast engine with products
in fp32 and a 16-bit cache. Where they part, the torch model is asked how far its first choice was from the other's: a
tie of a few thousandths of a nat is what a 16-bit cache decides. KL and agreement of first choices are of q8_0 weights
against fp32, read back into torch: what is lost by the file, not by an engine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.generation_speed import LLAMA, prompts
from bench.sides import machine, peer_python
from sixfold.fetch.cache import home
from sixfold.generate.fast_engine import FastEngine
from sixfold.generate.requests import Request, whole
from sixfold.generate.torch_engine import TorchEngine
from sixfold.models import load
from sixfold.models.export_gguf import export_gguf
from sixfold.models.head import Head

NEW = 32


def rounded(model: Any) -> Any:
    """The model with its matrices as an f16 file holds them."""
    with torch.no_grad():
        for value in model.parameters():
            if value.ndim > 1:
                value.copy_(value.half())
    return model


def gaps(model: Any, asked: list[list[int]], first: list[Any], second: list[Any]) -> list[float]:
    """Where two texts part: nats between the torch model's first choice and the other's."""
    found = []
    for prompt, one, two in zip(asked, first, second, strict=True):
        place = next((n for n, (a, b) in enumerate(zip(one.ids, two.ids, strict=False)) if a != b), None)
        if place is None:
            continue
        with torch.inference_mode():
            ids = torch.tensor([[*prompt, *one.ids[:place]]])
            told = model(input_ids=ids).logits[0, -1].log_softmax(-1)
        found.append(float(told[one.ids[place]] - told[two.ids[place]]))
    return found


def lost(exact: Any, path: Path, asked: list[list[int]]) -> tuple[float, float]:
    """Mean KL to fp32, and agreement of first choices, of the weights in a file."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    other = type(exact)(exact.config)
    tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=other)["tensors"]
    other.load_state_dict({name: torch.as_tensor(value).float() for name, value in tensors.items()}, strict=False)
    other.tie_weights()
    other.eval()
    return apart(exact, asked, (logits_of(other, prompt) for prompt in asked))


def logits_of(model: Any, prompt: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([prompt])).logits[0]
    return logits


def apart(exact: Any, asked: list[list[int]], others: Iterable[torch.Tensor]) -> tuple[float, float]:
    """Mean KL of others' logits to the exact ones, and agreement of first choices, over all places."""
    kl, same = [], []
    for prompt, logits in zip(asked, others, strict=True):
        a, b = logits_of(exact, prompt).log_softmax(-1), logits.log_softmax(-1)
        kl.append(float((a.exp() * (a - b)).sum(-1).mean()))
        same.append(float((a.argmax(-1) == b.argmax(-1)).float().mean()))
    return float(np.mean(kl)), float(np.mean(same))


def lost_by_llama(exact: Any, path: Path, asked: list[list[int]], folder: Path) -> tuple[float, float]:
    """The same of llama.cpp itself, which rounds what it multiplies the weights by, too."""
    given, out = folder / "prompts.json", folder / "logits.npy"
    given.write_text(json.dumps(asked), encoding="utf-8")
    peer = Path(__file__).parent / "peers" / "llama_logits.py"
    threads = str(torch.get_num_threads())
    subprocess.run([peer_python("llama", LLAMA), str(peer), str(path), str(given), str(out), threads], check=True)
    return apart(exact, asked, (torch.tensor(np.array(one)) for one in np.load(out, mmap_mode="r")))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--llama", action="store_true")
    args = parser.parse_args()
    asked = prompts(args.prompts)
    loaded = load("smollm2-135m", Head("causal_lm"))
    requests = [Request(tuple(one), NEW) for one in asked]
    with tempfile.TemporaryDirectory() as work:
        files = {kind: Path(work) / f"{kind}.gguf" for kind in ("f16", "q8_0")}
        for kind, path in files.items():
            export_gguf(loaded.model, loaded.tokenizer, path, kind=kind)
        if args.llama:
            shipped = next((home() / "models" / "smollm2-135m-gguf").glob("*.gguf"))
            for kind, path in (("q8_0", files["q8_0"]), ("q4_1, as shipped", shipped)):
                told = lost_by_llama(loaded.model, path, asked[:20], Path(work))
                print(f"llama.cpp, {kind}, against fp32: KL {told[0]:.4f}, first choices that agree {told[1]:.3f}")
            return
        kl, same = lost(loaded.model, files["q8_0"], asked[:20])
        fast = whole(FastEngine(files["f16"], loaded.tokenizer, context=8192), requests)
    exact = whole(TorchEngine(rounded(loaded.model), loaded.tokenizer), requests)
    agree = sum(one.ids == two.ids for one, two in zip(exact, fast, strict=True))
    apart = sorted(gaps(loaded.model, asked, exact, fast))
    print(f"\n{len(asked)} prompts of {len(asked[0])} tokens, {NEW} new ones, greedy; {machine()}\n")
    print(f"the same text: {agree} of {len(asked)}")
    print(f"where they part, nats between the two choices: {', '.join(f'{gap:.4f}' for gap in apart) or 'nowhere'}")
    print(f"q8_0 against fp32: KL {kl:.4f}, first choices that agree {same:.3f} (20 prompts, all places)")


if __name__ == "__main__":
    main()
