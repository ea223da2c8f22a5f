"""Resident memory while a corpus is read, freed of copies, split and encoded: it must not grow with the corpus.

python bench/corpus_memory.py --megabytes 200

Two kinds of memory are told apart. *Own* memory (RssAnon) is what the process needs. *Mapped* memory (RssFile) are
pages of the Arrow and token files that were looked at; the system takes them back whenever something needs the room.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import machine

WORDS = 5000
POLL_SECONDS = 0.05
SAMPLE = 2000
VOCABULARY = 2000


def write(path: Path, size: int) -> int:
    """A txt file of at least ``size`` bytes, a document a line; gives the number of lines.

    Half are of words, half of Chinese characters. A tenth are copies of a document shortly before, half of these with
    something changed.
    """
    draw = random.Random(13)
    words = ["".join(draw.choices("etaoinshrdlucmfwyp", k=draw.randint(2, 9))) for _ in range(WORDS)]
    recent: list[list[str]] = []
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size:
            if recent and draw.random() < 0.1:
                units = list(draw.choice(recent))
                if draw.random() < 0.5:
                    units[-1] = "changed"
            elif draw.random() < 0.5:
                units = [one + " " for one in draw.choices(words, k=draw.randint(20, 200))]
            else:
                units = [chr(0x4E00 + int(draw.random() ** 3 * 4000)) for _ in range(draw.randint(20, 400))]
            file.write("".join(units) + "\n")
            recent = [*recent[-50:], units]
            rows += 1
    return rows


def work(source: str, folder: Path) -> None:
    """What a pretrain stage does before it trains; tells each phase as it begins."""
    from sixfold.data.corpus import prepare_corpus
    from sixfold.data.documents import read
    from sixfold.data.token_store import write_examples
    from sixfold.models.tokenizer_training import train_tokenizer
    from sixfold.tasks.causal_lm import CausalLM

    train_tokenizer(["a b c"], "bpe", vocabulary=300, use="decoder")  # so that what is imported late is there
    print("read into Arrow", flush=True)
    read(source)
    print("copies, near-copies, split", flush=True)
    corpus = prepare_corpus(source)
    print("train a tokenizer", flush=True)
    texts = corpus.train.select(range(min(SAMPLE, len(corpus.train))))["text"][:]
    tokenizer = train_tokenizer(texts, "bpe", vocabulary=VOCABULARY, use="decoder")
    print("encode onto disk", flush=True)
    parts = (CausalLM().encode(part, tokenizer, 512, "window").examples for part in corpus.parts("train"))
    examples = write_examples(parts, folder / "tokens", vocabulary=len(tokenizer))
    tokens = len(examples.ragged("input_ids").values)
    print("\n".join((*corpus.told, f"{len(examples):,} examples, {tokens:,} tokens")), file=sys.stderr)


def resident(process: int) -> tuple[float, float]:
    """MB of its own and mapped; 0 once the process is gone."""
    found = {"RssAnon": 0.0, "RssFile": 0.0}
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in found:
            found[name] = int(rest.split()[0]) * 1024 / 1e6
    return found["RssAnon"], found["RssFile"]


def watched(command: list[str], home: Path) -> None:
    """Run the work in a process of its own, and print the most memory of each phase."""
    environment = {**os.environ, "SIXFOLD_HOME": str(home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    most: dict[str, tuple[float, float, float]] = {}
    phase, start = ["imports"], [time.monotonic()]

    def poll() -> None:
        while process.poll() is None:
            own, mapped = resident(process.pid)
            before = most.get(phase[0], (0.0, 0.0, 0.0))
            most[phase[0]] = (max(before[0], own), max(before[1], mapped), time.monotonic() - start[0])
            time.sleep(POLL_SECONDS)

    watcher = threading.Thread(target=poll)
    watcher.start()
    assert process.stdout is not None
    for line in process.stdout:
        phase[0], start[0] = line.strip(), time.monotonic()
    process.wait()
    watcher.join()
    print("| phase | seconds | own MB, at most | mapped MB, at most |\n| --- | --- | --- | --- |")
    for name, (own, mapped, seconds) in most.items():
        print(f"| {name} | {seconds:.0f} | {own:.0f} | {mapped:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--work", nargs=2, metavar=("SOURCE", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work[0], Path(args.work[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "corpus.txt"
        rows = write(source, args.megabytes * 1_000_000)
        print(f"{machine()}: {rows:,} documents, {source.stat().st_size / 1e6:.0f} MB")
        watched([sys.executable, __file__, "--work", str(source), folder], Path(folder) / "home")


if __name__ == "__main__":
    main()
