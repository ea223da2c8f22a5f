"""Resident memory of ``sixfold predict`` over a file of 1 GB: it must not grow with the rows that have gone by.

python bench/memory.py CHECKPOINT --minutes 5

A checkpoint with a small ``max_tokens`` and ``--longer 40`` gets through the whole file in minutes: texts are then read
and cut rather than computed.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine

TEXT = "the bank card was refused at the shop and nobody on the phone could tell me why it took a week"
WORDS = tuple(TEXT.split())
STRETCH = 700
POLL_SECONDS = 0.1


def write(path: Path, size: int, longer: int) -> int:
    """A csv of at least ``size`` bytes; gives its rows, which have up to 40 times ``longer`` words.

    Stretches of short and of long texts take turns: the sizes that a chunk of rows needs in memory then differ from
    those of the chunk before, which is what makes a heap grow.
    """
    draw = random.Random(13)
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        while file.tell() < size:
            longest = longer * draw.choice([4, 8, 12, 20, 40])
            lengths = [draw.randint(1, longest) for _ in range(STRETCH)]
            writer.writerows([f"{rows + n} {' '.join(draw.choices(WORDS, k=k))}"] for n, k in enumerate(lengths))
            rows += STRETCH
    return rows


def resident(process: int) -> float:
    """MB in memory now; 0 once the process is gone."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0


def curve(command: list[str], out: Path, *, every: int, seconds: float) -> list[tuple[int, float]]:
    """Run a command that writes a line a row, and print the most memory it had between each ``every`` rows.

    Memory goes up and down within a chunk of rows; only the most of a stretch can be compared with the next one's.
    """
    points: list[tuple[int, float]] = []
    print("| rows answered | seconds | resident MB, at most |\n| --- | --- | --- |")
    start = time.monotonic()
    with out.open("wb") as answers, out.open("rb") as written:
        process = subprocess.Popen(command, stdout=answers)
        rows, most = 0, 0.0
        while process.poll() is None and time.monotonic() - start < seconds:
            time.sleep(POLL_SECONDS)
            rows += written.read().count(b"\n")
            most = max(most, resident(process.pid))
            if rows >= every * (len(points) + 1):
                points.append((rows, most))
                print(f"| {rows:,} | {time.monotonic() - start:.0f} | {most:.0f} |", flush=True)
                most = 0.0
        process.kill()
        process.wait()
    return points


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--longer", type=int, default=1, help="multiplies the words of a text")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--every", type=int, default=4096, help="rows between two lines")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        source, out = Path(work) / "rows.csv", Path(work) / "answers.jsonl"
        rows = write(source, args.megabytes * 1_000_000, args.longer)
        print(f"{machine()}: {rows:,} rows, {source.stat().st_size / 1e9:.2f} GB")
        command = [sys.executable, "-m", "sixfold", "predict", args.checkpoint, str(source)]
        points = curve(command, out, every=args.every, seconds=60 * args.minutes)
    tail = [most for _, most in points[len(points) // 2 :]]
    if tail:
        print(f"second half: {min(tail):.0f} to {max(tail):.0f} MB")


if __name__ == "__main__":
    main()
