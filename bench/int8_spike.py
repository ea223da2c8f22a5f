"""Texts a second and changed labels of a fine-tuned encoder in int8, by several ways, in turns on one machine.

    sixfold finetune ag_news --task classify --base minilm-l6 --name int8-spike --runs .bench/runs \\
        --set data.limit=4000 --set train.epochs=1 --set on_long=window --set data.on_bad=drop
    python bench/int8_spike.py .bench/runs/int8-spike

All sides get the same token ids, all of one length, so that none pays for padding, and answer with logits. Labels are
held against those of the packed layout in fp32. Run it alone on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.sides import Peer, machine, peer_python

PEER = (
    *("torch>=2.9,<2.14", "transformers==5.23.0", "numpy", "torchao==0.18.0", "onnx", "onnxscript"),
    *("onnxruntime==1.31.1", "openvino==2026.4.1", "nncf==3.4.0"),
)
HERE = Path(__file__).parent
OURS = {
    "packed fp32": "fp32",
    "packed bf16 (Scorer's)": "bf16",
    "packed int8 (Scorer's)": "int8",
    "packed int8, 8 bits of the inputs": "int8 bits",
    "packed int8, onednn.qlinear": "qlinear",
    "packed int8, a scale for each token": "rows",
}
PEERS = {
    "torch fp32, padded": "fp32",
    "torch.ao dynamic int8, padded": "dynamic",
    "torchao int8 dynamic, padded": "torchao",
    "onnxruntime fp32": "ort",
    "onnxruntime dynamic int8": "ort8",
    "OpenVINO fp32": "ov",
    "OpenVINO int8 (nncf, calibrated)": "ov8",
}
BUDGET = 2048
"""Tokens computed at once, by every side."""
CALIBRATION = 300


def prepare(checkpoint: Path, folder: Path, lengths: list[int], texts: int) -> None:
    """``ids-LENGTH.npy`` [texts, length] from test rows, and ``calibration.npy`` from training rows.

    Where a text is shorter, more texts of its class follow it.
    """
    from sixfold.score.subject import Subject
    from sixfold.stages.rows import DataConfig, prepare_rows

    subject = Subject.load(checkpoint)
    rows = prepare_rows(DataConfig(source="ag_news", allow=["overlaps"]), subject.task.columns, seed=0).rows

    def rows_of(split: str, length: int, count: int) -> np.ndarray:
        part, room = rows[split].shuffle(seed=0), length - len(subject.frame)
        open_: dict[str, list[int]] = {}
        found: list[list[int]] = []
        for row in part:
            run = open_.setdefault(row["label"], [])
            run += subject.tokenizer(row["text"], add_special_tokens=False)["input_ids"]
            if len(run) >= room:
                found.append(subject.frame.around(open_.pop(row["label"])[:room]))
            if len(found) == count:
                break
        return np.array(found, dtype=np.int64)

    for length in lengths:
        np.save(folder / f"ids-{length}.npy", rows_of("test", length, texts))
    np.save(folder / "calibration.npy", rows_of("train", 64, CALIBRATION))


def serve(ask: Callable[[np.ndarray], np.ndarray], folder: Path, out: str, timed: int) -> None:
    """Answer ``answer LENGTH`` with logits in a file, and ``go LENGTH`` with the seconds that ``timed`` tokens took."""
    lengths = {int(path.stem.split("-")[1]): np.load(path) for path in folder.glob("ids-*.npy")}
    for ids in lengths.values():
        ask(ids[: max(1, BUDGET // ids.shape[1])])
    print(json.dumps({"ready": len(lengths)}), flush=True)
    for line in sys.stdin:
        what, length = line.split()
        ids = lengths[int(length)]
        if what == "answer":
            np.save(folder / f"{out}-{length}.npy", ask(ids))
            print(json.dumps({"answered": len(ids)}), flush=True)
            continue
        count = min(len(ids), max(1, timed // ids.shape[1]))
        start = time.perf_counter()
        ask(ids[:count])
        print(json.dumps({"seconds": time.perf_counter() - start, "texts": count}), flush=True)


def ours(args: argparse.Namespace) -> None:
    """One of our ways as a process."""
    import torch

    from sixfold.data.examples import Examples, Ragged
    from sixfold.models import int8
    from sixfold.score.scorer import Scorer
    from sixfold.score.tuned import load_tuned

    torch.set_num_threads(args.threads)
    found: Any = load_tuned(Path(args.checkpoint))
    if args.way == "int8 bits":
        int8.halved = lambda: False  # type: ignore[assignment]
    if args.way in ("qlinear", "rows"):
        int8._forward_of = _QLINEAR[args.way]
    scorer = Scorer(found.model, precision=args.way if args.way in ("fp32", "bf16") else "int8", budget=BUDGET)
    question = found.task.question()

    def ask(ids: np.ndarray) -> np.ndarray:
        offsets = np.arange(len(ids) + 1) * ids.shape[1]
        examples = Examples({"input_ids": Ragged(ids.astype(np.int32).ravel(), offsets)})
        return np.stack(scorer.ask(examples, question, fresh=True))

    serve(ask, Path(args.folder), args.out, args.timed)


def _rounded_weights(module: Any) -> tuple[Any, Any, Any]:
    import torch

    scales = (module.weight.detach().abs().amax(1) / 127).clamp(min=1e-12).float()
    rounded = (module.weight.detach() / scales[:, None]).round().to(torch.int8)
    return torch.ops.onednn.qlinear_prepack(rounded, None), scales, torch.zeros(len(scales), dtype=torch.long)


def _tensor_scale(module: Any) -> Any:
    """oneDNN's own operation, with one scale for all inputs that is computed here."""
    import torch

    packed, scales, zeros = _rounded_weights(module)

    def forward(x: Any) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        low, high = (float(end) for end in flat.aminmax())
        step = max((max(high, 0.0) - min(low, 0.0)) / 255, 1e-12)
        zero = round(-min(low, 0.0) / step)
        rounded = torch.addcmul(torch.tensor(zero + 0.5), flat, torch.tensor(1 / step)).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            rounded, step, zero, packed, scales, zeros, module.bias, 1.0, 0, torch.float32, "none", [], ""
        )
        return out.view(*x.shape[:-1], -1)

    return forward


def _row_scales(module: Any) -> Any:
    """The same with a scale for each token, which the result is multiplied with."""
    import torch

    packed, scales, zeros = _rounded_weights(module)

    def forward(x: Any) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        steps = (flat.abs().amax(1, keepdim=True) / 127).clamp(min=1e-12)
        rounded = (flat / steps).round_().to(torch.int8)
        out = torch.ops.onednn.qlinear_pointwise(
            rounded, 1.0, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return out.mul_(steps).add_(module.bias).view(*x.shape[:-1], -1)

    return forward


_QLINEAR = {"qlinear": _tensor_scale, "rows": _row_scales}


def compare(args: argparse.Namespace) -> None:
    from sixfold.commands.predict import checkpoint_of

    checkpoint, lengths = checkpoint_of(args.checkpoint), [int(each) for each in args.lengths.split(",")]
    python = peer_python("int8", PEER)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        prepare(checkpoint, folder, lengths, args.texts)
        common = ["--folder", work, "--timed", str(args.timed), "--threads", str(args.threads)]
        ways = [(name, [sys.executable, __file__, "ours"], way) for name, way in OURS.items()]
        ways += [
            (name, [str(python), str(HERE / "peers" / "int8_sides.py"), "side"], way) for name, way in PEERS.items()
        ]
        sides = []
        for number, (name, command, way) in enumerate(ways):
            if number and args.only and not any(part in name for part in args.only):
                continue
            told = [*command, str(checkpoint), "--way", way, "--out", f"side{number}", *common]
            sides.append((f"side{number}", Peer(name, told)))
        for _, side in sides:
            side.start()
        seconds: dict[tuple[str, int], list[float]] = {}
        texts: dict[int, int] = {}
        for length in lengths:
            for _, side in sides:
                side.ask(f"answer {length}", "answered")
        for number in range(args.rounds):
            for length in lengths:
                turn = number % len(sides)
                for _, side in [*sides[turn:], *sides[:turn]]:
                    found = side.ask(f"go {length}", "seconds")
                    texts[length] = found["texts"]
                    seconds.setdefault((side.name, length), []).append(found["seconds"])
        for _, side in sides:
            side.end()
        tell(args, folder, sides, lengths, seconds, texts)


def tell(
    args: argparse.Namespace,
    folder: Path,
    sides: list[tuple[str, Peer]],
    lengths: list[int],
    seconds: dict[tuple[str, int], list[float]],
    texts: dict[int, int],
) -> None:
    """The table for docs/results.md."""
    print(f"\n{args.texts} texts, {args.rounds} rounds in turns, {args.threads} threads; {machine()}\n")
    heads = " | ".join(f"{length} tokens: texts/s | x | changed labels" for length in lengths)
    print(f"| way | {heads} |\n| --- |{' --- | --- | --- |' * len(lengths)}")
    first = sides[0]
    for out, side in sides:
        cells = []
        for length in lengths:
            taken, base = (statistics.median(seconds[each.name, length]) for each in (side, first[1]))
            exact, found = (np.load(folder / f"{name}-{length}.npy") for name in (first[0], out))
            flips = int((exact.argmax(1) != found.argmax(1)).sum())
            cells.append(f"{texts[length] / taken:,.0f} | {base / taken:.2f} | {flips} of {len(exact):,}")
        print(f"| {side.name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    inner = len(sys.argv) > 1 and sys.argv[1] == "ours"
    if inner:
        parser.add_argument("ours")
        parser.add_argument("--folder", required=True)
        parser.add_argument("--way", required=True)
        parser.add_argument("--out", required=True)
    else:
        parser.add_argument("--lengths", default="16,64,256")
        parser.add_argument("--texts", type=int, default=1000, help="whose labels are compared")
        parser.add_argument("--rounds", type=int, default=9)
        parser.add_argument("--only", nargs="*", help="parts of names; packed fp32 always runs")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--timed", type=int, default=16_384, help="tokens that one round takes")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    ours(args) if inner else compare(args)


if __name__ == "__main__":
    main()
