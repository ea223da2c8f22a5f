"""fp32 matrix products of an encoder's linear layers, by torch as it comes (MKL) and by oneDNN, in turns.

    python bench/products.py --tokens 640 --width 384

For each layer shape the three products of a training step: the output, the gradient of the input, of the weight.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine
from sixfold.models.products import _onednn, prefers_onednn

TURNS = 30


def timed(*ways: Callable[[], Tensor]) -> list[float]:
    """Median seconds of each, taken in turns."""
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(TURNS + 3):
        for way, seconds in zip(ways, taken, strict=True):
            start = time.perf_counter()
            way()
            if turn >= 3:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in taken]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=640)
    parser.add_argument("--width", type=int, default=384)
    args = parser.parse_args()
    torch.manual_seed(13)
    print(
        f"{machine()}; {torch.get_num_threads()} threads; Sixfold takes {'oneDNN' if prefers_onednn() else 'MKL'} here"
    )
    print("| tokens, in, out | product | MKL GFLOP/s | oneDNN GFLOP/s | ratio | error MKL | error oneDNN |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    width = args.width
    for inside, outside in ((width, width), (width, 4 * width), (4 * width, width)):
        x, weight = torch.randn(args.tokens, inside), torch.randn(outside, inside)
        slope = torch.randn(args.tokens, outside)
        pairs = {"output": (x, weight), "of the input": (slope, weight.t()), "of the weight": (slope.t(), x.t())}
        for name, (left, right) in pairs.items():
            exact = left.double() @ right.double().t()
            plain, fast = timed(lambda a=left, b=right: a @ b.t(), lambda a=left, b=right: _onednn(a, b))  # type: ignore[misc]
            errors = [float((r - exact).norm() / exact.norm()) for r in (left @ right.t(), _onednn(left, right))]
            work = 2 * args.tokens * inside * outside / 1e9
            print(
                f"| {args.tokens}, {inside}, {outside} | {name} | {work / plain:.0f} | {work / fast:.0f} "
                f"| {plain / fast:.2f} | {errors[0]:.1e} | {errors[1]:.1e} |"
            )


if __name__ == "__main__":
    main()
