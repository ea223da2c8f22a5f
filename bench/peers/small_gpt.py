"""nanoGPT's published processor setting for tinyshakespeare, written out: what it takes here, and what it reaches.

A GPT of 4 layers, 4 heads and width 128 without biases or dropout, on 65 characters; context 64, 12 random pieces a
step, 2,000 steps; AdamW (0.9, 0.99), rate 1e-3 after 100 steps, as a cosine to 1e-4; weight decay 0.1; clipping 1.
The published loss on the last tenth of the text is 1.88.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

LAYERS, HEADS, WIDTH, CONTEXT, BATCH, STEPS, WARMUP = 4, 4, 128, 64, 12, 2000, 100


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.asked = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.mixed = nn.Linear(WIDTH, WIDTH, bias=False)
        self.wide = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.narrow = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, _ = x.shape
        q, k, v = (
            part.view(rows, length, HEADS, -1).transpose(1, 2) for part in self.asked(self.before(x)).split(WIDTH, 2)
        )
        seen = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(rows, length, WIDTH)
        x = x + self.mixed(seen)
        return x + self.narrow(gelu(self.wide(self.between(x))))


class SmallGpt(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.last = nn.LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                deep = "mixed" in name or "narrow" in name
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * LAYERS) if deep else 0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.token(ids) + self.place.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.last(x) @ self.token.weight.t()


def rate(step: int) -> float:
    if step < WARMUP:
        return 1e-3 * (step + 1) / (WARMUP + 1)
    return 1e-4 + 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) * 9e-4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--seed", type=int, default=1337)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    text = args.text.read_text(encoding="utf-8")
    letters = {letter: number for number, letter in enumerate(sorted(set(text)))}
    ids = torch.tensor([letters[letter] for letter in text])
    train, held = ids[: int(0.9 * len(ids))], ids[int(0.9 * len(ids)) :]
    model = SmallGpt(len(letters))
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], betas=(0.9, 0.99)
    )
    start = time.perf_counter()
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = rate(step)
        places = torch.randint(len(train) - CONTEXT, (BATCH,))
        x = torch.stack([train[place : place + CONTEXT] for place in places.tolist()])
        y = torch.stack([train[place + 1 : place + 1 + CONTEXT] for place in places.tolist()])
        cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - start
    pieces = (len(held) - 1) // CONTEXT
    x, y = (held[shift : shift + pieces * CONTEXT].view(pieces, CONTEXT) for shift in (0, 1))
    with torch.no_grad():
        losses = [
            float(cross_entropy(model(a).flatten(0, 1), b.flatten(), reduction="sum"))
            for a, b in zip(x.split(256), y.split(256), strict=True)
        ]
    count = sum(p.numel() for p in model.parameters())
    told = {"seconds": seconds, "loss": sum(losses) / y.numel(), "parameters": count, "tokens": STEPS * BATCH * CONTEXT}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
