"""Resident memory of ``sixfold predict`` over a file of 1 GB: it must not grow with the rows that have gone by.

python bench/memory.py CHECKPOINT --minutes 5
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine

TEXT = "the bank card was refused at the shop and nobody on the phone could tell me why it took a week"
WORDS = tuple(TEXT.split())


def write(path: Path, size: int) -> int:
    """A csv of at least ``size`` bytes; gives its rows."""
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        while file.tell() < size:
            writer.writerows([f"{rows + n} {' '.join(WORDS[n % 7 : 9 + n % 9])}"] for n in range(5000))
            rows += 5000
    return rows


def resident(process: int) -> int:
    """Bytes in memory now."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        source, out = Path(work) / "rows.csv", Path(work) / "answers.jsonl"
        rows = write(source, args.megabytes * 1_000_000)
        print(f"{machine()}: {rows:,} rows, {source.stat().st_size / 1e9:.2f} GB")
        with out.open("w") as answers:
            command = [sys.executable, "-m", "sixfold", "predict", args.checkpoint, str(source)]
            process = subprocess.Popen(command, stdout=answers)
            start = time.monotonic()
            print("| seconds | rows answered | resident MB |\n| --- | --- | --- |")
            while process.poll() is None and time.monotonic() - start < 60 * args.minutes:
                time.sleep(args.minutes * 6)
                done = sum(1 for _ in out.open("rb"))
                print(f"| {time.monotonic() - start:.0f} | {done:,} | {resident(process.pid) / 1e6:.0f} |", flush=True)
            process.kill()


if __name__ == "__main__":
    main()
