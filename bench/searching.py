"""What the engine under attacks and explanations takes beside the model: splicing tokens, and driving searches.

    python bench/searching.py

The first table: variants a second of one long text, by splicing and by tokenising each whole string again, with the
tokenizer of ``minilm-l6`` and with byte-level BPE. The second: candidates a second through the driver and the scorer
with a model that answers at once, from searches that all ask about a short text fifty times in a row.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine
from sixfold.data.examples import Examples, Ragged
from sixfold.models.forward import Flat
from sixfold.models.resolve import resolve
from sixfold.models.tokenizer import lone_tokenizer
from sixfold.models.tokenizer_training import train_tokenizer
from sixfold.perturb.words import Edit, Sentence, applied
from sixfold.score.cache import Cache, Identity
from sixfold.score.driver import Query, Search, drive
from sixfold.score.edited import Splicer, Tokens
from sixfold.score.scorer import Scorer
from sixfold.tasks.contract import Ask

WORDS, CANDIDATES, TOKENS = 230, 50, 28


def seconds(work: Callable[[], Any], times: int = 3) -> float:
    """The least of some runs."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def splicing() -> None:
    minilm = lone_tokenizer(resolve("minilm-l6").folder)
    draw = np.random.default_rng(0)
    known = [word for word in minilm.get_vocab() if word.isalpha() and len(word) > 3]
    words, others = ([str(word) for word in draw.choice(known, count)] for count in (WORDS, 2000))
    text = ", ".join(words)
    sentence = Sentence.of(text)

    def variants(kept: int) -> list[list[Edit]]:
        """Each other word replaced by each candidate, beside ``kept`` edits that stay."""
        stay = [sentence.edit(2 * place, others[place]) for place in range(kept)]
        return [
            [*stay, sentence.edit(place, others[(place * CANDIDATES + number) % 2000])]
            for place in range(1, WORDS, 2)
            for number in range(CANDIDATES)
        ]

    print("| tokenizer | first time | again | beside 20 other edits | each whole string | spliced is |")
    print("| --- | --- | --- | --- | --- | --- |")
    one, many = variants(0), variants(20)
    some = [applied(text, edits) for edits in one[::50]]
    for name, tokenizer in (("minilm-l6", minilm), ("byte-level BPE", train_tokenizer([text] * 3, "bpe"))):
        tokens = Tokens.of(text, Splicer(tokenizer))
        assert tokens.local
        first, again = (seconds(partial(tokens.each, one), times) / len(one) for times in (1, 3))
        beside = seconds(partial(tokens.each, many)) / len(many)
        whole = seconds(partial(tokens.splicer.whole, some)) / len(some)
        cells = " | ".join(f"{1 / each:,.0f}/s" for each in (first, again, beside, whole))
        print(f"| {name} | {cells} | {whole / again:.0f}x |")


class AtOnce(torch.nn.Module):
    """Passes for an encoder that is packed, and is never run."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.config = SimpleNamespace(model_type="bert", _attn_implementation="sdpa")


def driving(searches: int, rounds: int = 3) -> None:
    draw = np.random.default_rng(0)
    rows = [Ragged.of(draw.integers(1, 30_000, (CANDIDATES, TOKENS))) for _ in range(searches * rounds)]

    def collate(examples: Examples) -> dict[str, Any]:
        ids = examples.ragged("input_ids")
        return {"flat": Flat.of(ids.values, ids.lengths)}

    def read(model: Any, batch: dict[str, Any]) -> list[NDArray]:
        return list(np.zeros((len(batch["flat"].lengths), 4), dtype=np.float32))

    ask = Ask("logits", collate, read)

    def search(number: int) -> Search[None]:
        for place in range(rounds):
            examples = Examples({"input_ids": rows[number * rounds + place], "row": np.arange(CANDIDATES)})
            yield Query(examples, ask)

    def run(cache: Cache | None) -> Iterator[Any]:
        scorer = Scorer(AtOnce(), cache=cache, identity=Identity("none"))
        return drive(map(search, range(searches)), {"subject": scorer})

    print("\n| cache | candidates/s | us each |\n| --- | --- | --- |")
    kept = Cache(2**28)
    count = searches * rounds * CANDIDATES
    for name, cache, times in (("none", None, 3), ("empty", kept, 1), ("all known", kept, 3)):
        each = seconds(lambda cache=cache: list(run(cache)), times) / count  # type: ignore[misc]
        print(f"| {name} | {1 / each:,.0f} | {each * 1e6:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--searches", type=int, default=256)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{WORDS} words, {CANDIDATES} candidates each; one thread; {machine()}\n")
    splicing()
    driving(args.searches)


if __name__ == "__main__":
    main()
