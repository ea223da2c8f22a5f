"""transformers' pipeline as a peer, in a virtual environment of its own: labels slices of texts in turns."""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from transformers import pipeline


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "texts"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--limit", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    args = parser.parse_args()
    with open(args.texts, encoding="utf-8") as file:
        texts = json.load(file)
    classify = pipeline("text-classification", model=args.checkpoint, device="cpu", dtype=torch.float32)
    options = {"batch_size": args.batch, "truncation": True, "max_length": args.limit}
    classify(texts[:8], **options)
    print(json.dumps({"ready": len(texts)}), flush=True)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        begun = time.perf_counter()
        answers = classify(texts[start:end], **options)
        seconds = time.perf_counter() - begun
        labels = [answer["label"] for answer in answers]
        print(json.dumps({"slice": [start, end], "seconds": seconds, "labels": labels}), flush=True)


if __name__ == "__main__":
    main()
