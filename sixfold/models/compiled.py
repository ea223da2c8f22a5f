"""A classifier's forward pass compiled by OpenVINO, with products in 8-bit integers.

Measured three to four times as fast as packed fp32 on a processor with VNNI, with under one label in a hundred changed
(``docs/results.md``). Weights and inputs are rounded with scales that nncf finds on texts of the user's own; which
layers that would hurt most is its business too. It takes some seconds to make, so it is for thousands of questions.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sixfold.models.forward import Flat, padded
from sixfold.models.quiet import quiet

CALIBRATED = 128
"""Texts that scales are found on."""
_NAMES = ("input_ids", "attention_mask")


def can_compile(model: Any) -> bool:
    """Whether the packages are here, and the model is a BERT on the CPU and in fp32, with one head a row."""
    weight = next(model.parameters())
    return (
        find_spec("openvino") is not None
        and find_spec("nncf") is not None
        and model.config.model_type == "bert"
        and type(model).__name__.endswith("ForSequenceClassification")
        and getattr(model.config, "type_vocab_size", 0) <= 2
        and weight.device.type == "cpu"
        and weight.dtype == torch.float32
    )


class Compiled(nn.Module):
    """Answers in a model's place: rows' logits, and nothing else.

    Args:
        model: its weights are copied; what it learns later is not known here.
        texts: token ids of some texts, special tokens included, that are like those to come.
    """

    def __init__(self, model: Any, texts: Sequence[NDArray]) -> None:
        super().__init__()
        assert can_compile(model)
        self.exact = model  # what gradients are asked of
        self.config = model.config
        self._compiled = _compiled(model, texts)

    def row_logits(self, flat: Flat) -> Tensor:
        """[rows, outputs]"""
        inputs = padded(self.exact, flat)
        given = {name: inputs[name].numpy() for name in _NAMES}
        return torch.from_numpy(np.array(self._compiled(given)[0]))


class _Rows(nn.Module):
    """The model as a function of two arrays."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def _compiled(model: Any, texts: Sequence[NDArray]) -> Any:
    import nncf
    import openvino

    logging.getLogger("nncf").setLevel(logging.ERROR)
    example = {name: torch.ones(2, 8, dtype=torch.long) for name in _NAMES}
    before = model.config._attn_implementation
    model.config._attn_implementation = "eager"
    quietly = io.StringIO()
    try:
        with (
            torch.no_grad(),
            quiet(),
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(quietly),
            contextlib.redirect_stderr(quietly),
        ):
            made = openvino.convert_model(_Rows(model).eval(), example_input=example)
    finally:
        model.config._attn_implementation = before
    for port in made.inputs:
        port.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
    made.validate_nodes_and_infer_types()
    rows = [np.asarray(ids, dtype=np.int64)[None] for ids in texts[:CALIBRATED]]
    given = [{_NAMES[0]: row, _NAMES[1]: np.ones_like(row)} for row in rows]
    with contextlib.redirect_stdout(quietly), contextlib.redirect_stderr(quietly):
        rounded = nncf.quantize(
            made, nncf.Dataset(given), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(given)
        )
    settings = {
        "INFERENCE_NUM_THREADS": min(torch.get_num_threads(), os.cpu_count() or 1),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    return openvino.Core().compile_model(rounded, "CPU", settings)
