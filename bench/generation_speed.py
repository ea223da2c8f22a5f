"""Tokens a second of writing: both engines of Sixfold, transformers.generate, llama.cpp; with each one's fidelity.

    python bench/generation_speed.py --rounds 3

128-token prompts, 64 new tokens, greedy, 1, 8 and 16 at a time. All sides run in turns in processes of their own. Two
clocks: end to end (prompt and all new tokens), and decoding alone (what is left when the time of the same prompts with
one new token is taken off). No side keeps prefixes: the prompts are the same in every round. Fidelity is told by greedy
text: how much of it is that of torch in fp32 (``generation_fidelity.py`` has the divergence).

llama.cpp comes through llama-cpp-python, compiled on this machine into an environment of its own (``--llama``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import Peer, machine, peer_python

HERE = Path(__file__).parent
LLAMA = ("llama-cpp-python==0.3.36", "numpy")
PROMPT, NEW = 128, 64
Write = Callable[[list[list[int]], int], list[list[int]]]


def prompts(count: int) -> list[list[int]]:
    """Different texts of ``PROMPT`` tokens: conversations of the bank's desk, each begun elsewhere."""
    from sixfold import data
    from sixfold.models import load
    from sixfold.models.head import Head

    tokenizer = load("smollm2-135m", Head("causal_lm")).tokenizer
    rows = data.read("bank_desk_en", talk=True)["train"]
    out: list[list[int]] = []
    for messages in rows["messages"]:
        ids = tokenizer("\n".join(one["content"] for one in messages), add_special_tokens=False)["input_ids"]
        if len(ids) >= PROMPT:
            out.append(ids[:PROMPT])
        if len(out) == count:
            return out
    raise SystemExit(f"only {len(out)} prompts of {PROMPT} tokens")


def serve(write: Write, asked: list[list[int]]) -> None:
    """Answer ``go COUNT NEW`` with seconds and tokens, ``show COUNT NEW`` with the tokens themselves."""
    write(asked[:1], 2)
    print(json.dumps({"ready": len(asked)}), flush=True)
    for line in sys.stdin:
        what, count, new = line.split()
        start = time.perf_counter()
        found = write(asked[: int(count)], int(new))
        seconds = time.perf_counter() - start
        told: dict[str, Any] = {"seconds": seconds, "tokens": sum(map(len, found))}
        if what == "show":
            told = {"shown": found}
        print(json.dumps(told), flush=True)


def ours(args: argparse.Namespace) -> None:
    """One of Sixfold's engines as a process."""
    import torch

    from sixfold.generate.fast_engine import FastEngine
    from sixfold.generate.requests import Engine, Request, whole
    from sixfold.generate.torch_engine import TorchEngine
    from sixfold.models import load
    from sixfold.models.head import Head

    torch.set_num_threads(args.threads)
    asked = json.loads(Path(args.prompts).read_text(encoding="utf-8"))
    loaded = load("smollm2-135m", Head("causal_lm"))
    engine: Engine
    if args.way == "torch":
        engine = TorchEngine(loaded.model, loaded.tokenizer)
    else:
        path = Path(args.folder) / f"{args.way.split()[0]}.gguf"
        engine = FastEngine(
            path, loaded.tokenizer, context=8192, threads=args.threads, exact=args.way.endswith("exact"), prefixes=False
        )

    def write(some: list[list[int]], new: int) -> list[list[int]]:
        return [list(one.ids) for one in whole(engine, [Request(tuple(one), new) for one in some])]

    serve(write, asked)


def transformers_side(args: argparse.Namespace) -> None:
    """``transformers.generate`` in this environment; all prompts are as long, so nothing is padded."""
    import torch

    from sixfold.models import load
    from sixfold.models.head import Head

    torch.set_num_threads(args.threads)
    asked = json.loads(Path(args.prompts).read_text(encoding="utf-8"))
    model: Any = load("smollm2-135m", Head("causal_lm")).model

    def write(some: list[list[int]], new: int) -> list[list[int]]:
        ids = torch.tensor(some)
        with torch.inference_mode():
            found = model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new,
                min_new_tokens=new,
                do_sample=False,
                pad_token_id=0,
            )
        return [row[len(some[0]) :] for row in found.tolist()]

    serve(write, asked)


def bare_side(args: argparse.Namespace) -> None:
    """openvino-genai by itself, as its documentation shows: ``generate`` with a list of prompts."""
    import numpy as np
    import openvino
    import openvino_genai as genai

    asked = json.loads(Path(args.prompts).read_text(encoding="utf-8"))
    schedule = genai.SchedulerConfig()
    schedule.cache_size = 1
    path = str(Path(args.folder) / f"{args.way.split()[0]}.gguf")
    settings = {"KV_CACHE_PRECISION": "f16", "INFERENCE_NUM_THREADS": args.threads}
    pipe = genai.ContinuousBatchingPipeline(path, schedule, "CPU", settings)

    def write(some: list[list[int]], new: int) -> list[list[int]]:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = new, True, False
        given = [openvino.Tensor(np.array([one], dtype=np.int64)) for one in some]
        return [list(one.m_generation_ids[0]) for one in pipe.generate(given, [config] * len(given))]

    serve(write, asked)


SIDES: dict[str, tuple[str, str]] = {
    "Sixfold torch fp32": ("ours", "torch"),
    "Sixfold fast, f16, products in fp32": ("ours", "f16 exact"),
    "Sixfold fast, f16": ("ours", "f16"),
    "Sixfold fast, q8_0": ("ours", "q8_0"),
    "openvino-genai alone, q8_0": ("bare", "q8_0"),
    "transformers.generate fp32": ("transformers", "fp32"),
}
LLAMAS = {"llama.cpp Q8_0": "q8_0.gguf", "llama.cpp Q4_1, as shipped": "q4_1.gguf"}


def compare(args: argparse.Namespace) -> None:
    from sixfold.fetch.cache import home
    from sixfold.models import load
    from sixfold.models.export_gguf import export_gguf
    from sixfold.models.head import Head

    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        loaded = load("smollm2-135m", Head("causal_lm"))
        for kind in ("f16", "q8_0"):
            export_gguf(loaded.model, loaded.tokenizer, folder / f"{kind}.gguf", kind=kind)
        shipped = next((home() / "models" / "smollm2-135m-gguf").glob("*.gguf"))
        (folder / "q4_1.gguf").symlink_to(shipped)
        file = folder / "prompts.json"
        file.write_text(json.dumps(prompts(max(args.counts))), encoding="utf-8")
        common = ["--folder", work, "--prompts", str(file), "--threads", str(args.threads)]
        sides = [
            Peer(name, [sys.executable, __file__, kind, "--way", way, *common])
            for name, (kind, way) in SIDES.items()
            if not args.only or any(part in name for part in args.only)
        ]
        if args.llama:
            python = peer_python("llama", LLAMA)
            peer = str(HERE / "peers" / "llama_turns.py")
            sides += [
                Peer(name, [str(python), peer, "--model", str(folder / one), *common]) for name, one in LLAMAS.items()
            ]
        for side in sides:
            side.start()
        spent: dict[tuple[str, int, int], list[float]] = {}
        shown = {side.name: side.ask(f"show {max(args.counts)} 32", "shown")["shown"] for side in sides}
        for number in range(args.rounds):
            turn = number % len(sides)
            for count in args.counts:
                for side in [*sides[turn:], *sides[:turn]]:
                    for new in (1, NEW):
                        found = side.ask(f"go {count} {new}", "seconds")
                        spent.setdefault((side.name, count, new), []).append(found["seconds"])
        for side in sides:
            side.end()
    told(args, [side.name for side in sides], spent, shown)


def told(
    args: argparse.Namespace,
    names: Sequence[str],
    spent: dict[tuple[str, int, int], list[float]],
    shown: dict[str, list[list[int]]],
) -> None:
    """The table for docs/results.md."""
    print(f"\nprompts of {PROMPT} tokens, {NEW} new ones, {args.rounds} rounds, {args.threads} threads; {machine()}\n")
    heads = " | ".join(f"{count} at a time: end to end | decoding" for count in args.counts)
    print(f"| engine | {heads} | greedy texts as torch fp32, first 32 tokens | tokens before they part |")
    print(f"| --- |{' --- | --- |' * len(args.counts)} --- | --- |")
    exact = shown.get("Sixfold torch fp32") or shown[names[0]]
    for name in names:
        cells = []
        for count in args.counts:
            whole, first = (statistics.median(spent[name, count, new]) for new in (NEW, 1))
            cells.append(f"{count * NEW / whole:,.0f} | {count * (NEW - 1) / max(1e-9, whole - first):,.0f}")
        same = sum(a[:32] == b[:32] for a, b in zip(exact, shown[name], strict=True))
        until = statistics.fmean(
            next((place for place, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), 32)
            for one, two in zip(exact, shown[name], strict=True)
        )
        print(f"| {name} | {' | '.join(cells)} | {same} of {len(exact)} | {until:.1f} |")


KINDS = {"ours": ours, "transformers": transformers_side, "bare": bare_side}


def main() -> None:
    parser = argparse.ArgumentParser()
    inner = len(sys.argv) > 1 and sys.argv[1] in KINDS
    if inner:
        parser.add_argument("kind")
        for name in ("folder", "prompts", "way"):
            parser.add_argument(f"--{name}", required=True)
    else:
        parser.add_argument("--counts", nargs="*", type=int, default=[1, 8, 16])
        parser.add_argument("--rounds", type=int, default=3)
        parser.add_argument("--llama", action="store_true", help="llama.cpp too; it is compiled on first use")
        parser.add_argument("--only", nargs="*", help="parts of names")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    KINDS[args.kind](args) if inner else compare(args)


if __name__ == "__main__":
    main()
