"""A peer's way of running a fine-tuned encoder, for ``bench/int8_spike.py``. Runs in an environment of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.int8_spike import BUDGET, serve

Ask = Callable[[np.ndarray], np.ndarray]


def batched(ask: Ask) -> Ask:
    """The same, a budget of tokens at a time."""

    def whole(ids: np.ndarray) -> np.ndarray:
        rows = max(1, BUDGET // ids.shape[1])
        return np.concatenate([ask(ids[start : start + rows]) for start in range(0, len(ids), rows)])

    return whole


def by_torch(args: argparse.Namespace) -> Ask:
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(args.threads)
    model: Any = AutoModelForSequenceClassification.from_pretrained(args.checkpoint).eval()
    if args.way == "dynamic":
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    elif args.way == "torchao":
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

        quantize_(model, Int8DynamicActivationInt8WeightConfig())

    def ask(ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            given = torch.from_numpy(ids)
            return model(input_ids=given, attention_mask=torch.ones_like(given)).logits.float().numpy()

    return ask


def exported(args: argparse.Namespace) -> Path:
    """The model in ONNX, for the two engines that read it."""
    import torch
    from transformers import AutoModelForSequenceClassification

    path = Path(args.folder) / f"{args.out}.onnx"
    model: Any = AutoModelForSequenceClassification.from_pretrained(args.checkpoint, attn_implementation="eager").eval()
    ids = torch.ones(4, 24, dtype=torch.long)
    rows, tokens = torch.export.Dim("rows", min=1, max=4096), torch.export.Dim("tokens", min=2, max=512)
    shape = {0: rows, 1: tokens}
    torch.onnx.export(
        model,
        (),
        str(path),
        kwargs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        dynamic_shapes={"input_ids": shape, "attention_mask": shape},
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path


def by_onnxruntime(args: argparse.Namespace) -> Ask:
    import onnx
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = exported(args)
    if args.way == "ort8":
        model = onnx.load(str(path))
        del model.graph.value_info[:]  # the exporter's shapes are in the way of the quantiser's own
        onnx.save(model, str(path))
        small = path.with_suffix(".int8.onnx")
        quantize_dynamic(path, small, weight_type=QuantType.QInt8, per_channel=True, reduce_range=not vnni())
        path = small
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the other sides need the cores
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def ask(ids: np.ndarray) -> np.ndarray:
        return session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]

    return ask


def by_openvino(args: argparse.Namespace) -> Ask:
    import openvino

    core = openvino.Core()
    model = core.read_model(str(exported(args)))
    if args.way == "ov8":
        import nncf

        rows = np.load(Path(args.folder) / "calibration.npy")
        given = [{"input_ids": row[None], "attention_mask": np.ones_like(row[None])} for row in rows]
        model = nncf.quantize(model, nncf.Dataset(given), model_type=nncf.ModelType.TRANSFORMER)
    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_NUM_THREADS": args.threads, "INFERENCE_PRECISION_HINT": "f32"}
    )

    def ask(ids: np.ndarray) -> np.ndarray:
        return np.array(compiled({"input_ids": ids, "attention_mask": np.ones_like(ids)})[0])

    return ask


def vnni() -> bool:
    return any("vnni" in line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))


WAYS = {"ort": by_onnxruntime, "ort8": by_onnxruntime, "ov": by_openvino, "ov8": by_openvino}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side")
    parser.add_argument("checkpoint")
    for name in ("folder", "way", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--timed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    ask = WAYS.get(args.way, by_torch)(args)
    serve(batched(ask), Path(args.folder), args.out, args.timed)


if __name__ == "__main__":
    main()
