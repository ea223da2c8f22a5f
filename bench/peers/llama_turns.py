"""llama.cpp through llama-cpp-python, for ``bench/generation_speed.py``. Runs in an environment of its own.

Several texts at once are several sequences of one batch, as its server does: prompts first, then a token of each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.generation_speed import serve

CONTEXT = 4096


class Opened:
    """A model file, ready for several sequences at once."""

    def __init__(self, path: str, sequences: int, threads: int) -> None:
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch, settings.n_seq_max = CONTEXT, 2048, 512, sequences
        settings.n_threads = settings.n_threads_batch = threads
        settings.kv_unified = True
        self.context = llama_cpp.llama_init_from_model(model, settings)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.width = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))

    def logits(self, tokens: list[tuple[int, int, int, bool]]) -> Iterator[np.ndarray]:
        """Compute (token, position, sequence, whether its logits are wanted); for each of those [vocabulary]."""
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for place, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[place], batch.pos[place], batch.logits[place] = token, position, wanted
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
        assert llama_cpp.llama_decode(self.context, batch) == 0
        for place, (*_, wanted) in enumerate(tokens):
            if wanted:
                found = llama_cpp.llama_get_logits_ith(self.context, place)
                yield np.ctypeslib.as_array(found, shape=(self.width,))
        llama_cpp.llama_batch_free(batch)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("model", "folder", "prompts"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    asked = json.loads(Path(args.prompts).read_text(encoding="utf-8"))
    opened = Opened(args.model, len(asked), args.threads)

    def run(tokens: list[tuple[int, int, int, bool]]) -> list[int]:
        """The likeliest next token of those whose logits are wanted."""
        return [int(logits.argmax()) for logits in opened.logits(tokens)]

    def write(prompts: list[list[int]], new: int) -> list[list[int]]:
        llama_cpp.llama_memory_clear(opened.memory, True)
        given = [
            (token, place, number, place == len(ids) - 1)
            for number, ids in enumerate(prompts)
            for place, token in enumerate(ids)
        ]
        chosen: list[int] = []
        for start in range(0, len(given), 2048):
            chosen += run(given[start : start + 2048])
        texts = [[token] for token in chosen]
        for step in range(1, new):
            last = [(text[-1], len(prompts[number]) + step - 1, number, True) for number, text in enumerate(texts)]
            for text, token in zip(texts, run(last), strict=True):
                text.append(token)
        return texts

    serve(write, asked)


if __name__ == "__main__":
    main()
