"""Learning rates of small decoders from nothing: what the formulas of ``sixfold/models/sizes.py`` are held against.

    python bench/rates.py tinyshakespeare/input.txt --width 64 128 --optimiser adamw --rates 1e-3 3e-3 9e-3
    python bench/rates.py tinyshakespeare/input.txt --width 64 128 --optimiser muon --rates 0.01 0.02 0.04

Bytes, four layers and batches of 12 x 64 tokens, as in nanoGPT's example for a CPU. For AdamW a rate is that of
every parameter, for Muon that of the layers' matrices; ``--beside`` is then AdamW's for the rest.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine
from sixfold.models.scratch import decoder
from sixfold.models.sizes import shape, training
from sixfold.models.tokenizer_training import BYTES, DECODER_SPECIAL, train_tokenizer
from sixfold.train.config import TrainConfig
from sixfold.train.optimiser import build, precision
from sixfold.train.schedule import factor

CONTEXT, ROWS, SEED = 64, 12, 13
HELD_OUT_SHARE, JUDGED = 0.1, 240
WARMUP = 0.05


def windows(ids: Tensor, starts: list[int]) -> tuple[Tensor, Tensor]:
    """[rows, context] tokens, and the token after each."""
    return tuple(torch.stack([ids[start + ahead : start + ahead + CONTEXT] for start in starts]) for ahead in (0, 1))  # type: ignore[return-value]


def held_out_loss(model: torch.nn.Module, ids: Tensor) -> float:
    tokens, targets = windows(ids, list(range(0, JUDGED * CONTEXT, CONTEXT)))
    with torch.no_grad():
        return float(cross_entropy(model(tokens).logits.flatten(0, 1), targets.flatten()))


def run(config: TrainConfig, tokenizer: object, ids: Tensor, width: int, steps: int) -> float:
    """Train a decoder of this width; its held-out loss in nats a character."""
    size, _ = shape("decoder", "tiny", layers=4, width=width, heads=width // 32, context=CONTEXT)
    model = decoder(size, tokenizer, seed=SEED).train()  # type: ignore[arg-type]
    assert config.learning_rate is not None
    optimisers = build(model, dict(model.named_parameters()), config, config.learning_rate)
    parts = round(len(ids) * (1 - HELD_OUT_SHARE))
    draw = np.random.default_rng(SEED)
    half = precision(config, torch.device("cpu")).value == "bf16"
    for step in range(steps):
        tokens, targets = windows(ids, draw.integers(0, parts - CONTEXT - 1, ROWS).tolist())
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(tokens, use_cache=False).logits
        cross_entropy(logits.float().flatten(0, 1), targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        share = factor(config.schedule, step, steps, round(WARMUP * steps))
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * group["share"] * share
            optimiser.step()
            optimiser.zero_grad()
    return held_out_loss(model.eval(), ids[parts:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("--width", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--optimiser", choices=["adamw", "muon"], default="adamw")
    parser.add_argument("--rates", type=float, nargs="+", required=True)
    parser.add_argument("--beside", type=float, help="AdamW's rate beside Muon; left out: derived from the width")
    parser.add_argument("--schedule", choices=["linear", "cosine", "wsd"], default="linear")
    parser.add_argument("--steps", type=int, default=250)
    given = parser.parse_args()
    text = given.text.read_text(encoding="utf-8")
    tokenizer = train_tokenizer([text], "bpe", vocabulary=BYTES + len(DECODER_SPECIAL), use="decoder")
    tokenizer.model_max_length = len(text.encode())
    ids = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
    print(f"{machine()}\n{len(ids):,} bytes, {given.steps} steps of {ROWS * CONTEXT} tokens, seed {SEED}\n")
    print("| width | optimiser | rate | AdamW's rate | derived | held-out loss | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for width in given.width:
        tokens = given.steps * ROWS * CONTEXT
        derived = training(
            "decoder",
            width=width,
            parameters=1,
            corpus_tokens=tokens,
            context=CONTEXT,
            epochs=1,
            optimiser=given.optimiser,
        )
        for rate in given.rates:
            muon = rate if given.optimiser == "muon" else None
            of_adamw = rate if muon is None else given.beside or derived.learning_rate
            config = TrainConfig(
                optimiser=given.optimiser,
                learning_rate=of_adamw,
                muon_rate=muon,
                schedule=given.schedule,
                weight_decay=derived.weight_decay,
            )
            start = time.perf_counter()
            loss = run(config, tokenizer, ids, width, given.steps)
            usual = derived.learning_rate if muon is None else derived.muon_rate
            seconds = time.perf_counter() - start
            row = (width, given.optimiser, f"{rate:g}", f"{of_adamw:g}", f"{usual:g}", f"{loss:.3f}", f"{seconds:.0f}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
