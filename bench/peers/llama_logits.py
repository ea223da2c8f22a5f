"""llama.cpp's logits at every place of texts, for ``bench/generation_fidelity.py``. In an environment of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import llama_cpp

from bench.peers.llama_turns import Opened


def main() -> None:
    """MODEL, PROMPTS (a JSON file of token lists), OUT (an npy file: [texts, tokens, vocabulary]), THREADS."""
    path, prompts, out, threads = sys.argv[1:]
    opened = Opened(path, 1, int(threads))
    found = []
    for ids in json.loads(Path(prompts).read_text(encoding="utf-8")):
        llama_cpp.llama_memory_clear(opened.memory, True)
        tokens = [(token, place, 0, True) for place, token in enumerate(ids)]
        found.append(np.stack([logits.copy() for logits in opened.logits(tokens)]))
    np.save(out, np.stack(found))


if __name__ == "__main__":
    main()
