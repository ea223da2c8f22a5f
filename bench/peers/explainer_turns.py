"""lime, shap and captum as peers, in a virtual environment of their own: explain slices of texts in turns.

Twice: as their documentation shows (``documented``), and with the prediction function and the batch size tuned: no
gradients where none are needed, texts of like length together, 64 at once. They explain the likeliest class.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

BATCH = 64


class Model:
    """What a user would write around a checkpoint."""

    def __init__(self, checkpoint: str, limit: int, *, tuned: bool) -> None:
        self.model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint, model_max_length=limit)
        self.checkpoint, self.limit, self.tuned = checkpoint, limit, tuned

    def probabilities(self, texts) -> np.ndarray:
        texts = [str(text) for text in texts]
        if not self.tuned:
            return self._of(texts)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        out = np.empty((len(texts), self.model.config.num_labels))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            out[places] = self._of([texts[place] for place in places])
        return out

    def _of(self, texts) -> np.ndarray:
        inputs = self.tokenizer(texts, padding=True, truncation=True, max_length=self.limit, return_tensors="pt")
        with torch.inference_mode() if self.tuned else torch.no_grad():
            return self.model(**inputs).logits.softmax(-1).double().numpy()

    def encoded(self, text):
        """Ids [1, tokens], offsets, and which tokens are the text's own."""
        found = self.tokenizer(
            text,
            truncation=True,
            max_length=self.limit,
            return_tensors="pt",
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        return found["input_ids"], found["offset_mapping"][0].tolist(), (1 - found["special_tokens_mask"][0]).bool()

    def masked(self, ids, own):
        out = ids.clone()
        out[0, own] = self.tokenizer.mask_token_id
        return out

    def logits(self, ids):
        return self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits


def by_lime(model: Model, text: str, samples: int):
    from lime.lime_text import LimeTextExplainer

    explainer = LimeTextExplainer(random_state=0)
    found = explainer.explain_instance(
        text, model.probabilities, top_labels=1, num_features=10_000, num_samples=samples
    )
    (label,) = found.top_labels
    positions = found.domain_mapper.indexed_string
    spans = []
    for feature, weight in found.as_map()[label]:
        word = positions.word(feature)
        for start in np.atleast_1d(positions.string_position(feature)).tolist():  # a word, wherever it stands
            spans.append([start, start + len(word), float(weight)])
    return label, spans


def by_shap(model: Model, text: str, samples: int, kind: str):
    import shap

    if not hasattr(model, "explainer"):
        masker = shap.maskers.Text(model.tokenizer)
        function = model.probabilities
        if not model.tuned:
            function = pipeline("text-classification", model=model.checkpoint, device="cpu", top_k=None)
        maker = shap.PartitionExplainer if kind == "partition" else shap.PermutationExplainer
        model.explainer = maker(function, masker)
    options = {"batch_size": BATCH} if model.tuned else {}
    found = model.explainer([text], max_evals=samples, silent=True, **options)
    label = int(model.probabilities([text])[0].argmax())
    spans, place = [], 0
    for piece, weight in zip(found.data[0], found.values[0][:, label], strict=True):
        bare = str(piece).strip()
        if not bare or (start := text.find(bare, place)) < 0:
            continue
        place = start + len(bare)
        spans.append([start, place, float(weight)])
    return label, spans


def by_kernel(model: Model, text: str, samples: int):
    from captum.attr import KernelShap

    ids, offsets, own = model.encoded(text)
    with torch.no_grad():
        label = int(model.logits(ids)[0].argmax())
    mask = torch.zeros_like(ids)
    mask[0, own] = torch.arange(1, int(own.sum()) + 1)

    def forward(rows):
        with torch.inference_mode():
            return model.logits(rows).softmax(-1)[:, label].clone()

    found = KernelShap(forward).attribute(
        ids,
        baselines=model.masked(ids, own),
        feature_mask=mask,
        n_samples=samples,
        perturbations_per_eval=BATCH if model.tuned else 1,
    )
    return label, _spans(found[0], offsets, own)


def by_gradients(model: Model, text: str, samples: int):
    from captum.attr import LayerIntegratedGradients

    ids, offsets, own = model.encoded(text)
    with torch.no_grad():
        label = int(model.logits(ids)[0].argmax())
    if model.tuned:
        for weight in model.model.parameters():
            weight.requires_grad_(False)

    def forward(rows):
        return model.logits(rows).log_softmax(-1)[:, label]

    found = LayerIntegratedGradients(forward, model.model.get_input_embeddings()).attribute(
        ids, baselines=model.masked(ids, own), n_steps=samples, internal_batch_size=BATCH if model.tuned else None
    )
    return label, _spans(found.sum(-1)[0].detach(), offsets, own)


def _spans(weights, offsets, own):
    return [
        [start, end, float(weight)]
        for (start, end), weight, yes in zip(offsets, weights.tolist(), own.tolist(), strict=True)
        if yes
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "texts", "method"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("limit", "samples"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--tuned", action="store_true")
    args = parser.parse_args()
    with open(args.texts, encoding="utf-8") as file:
        texts = json.load(file)
    model = Model(args.checkpoint, args.limit, tuned=args.tuned)
    methods = {
        "lime": by_lime,
        "shap-permutation": lambda *given: by_shap(*given, "permutation"),
        "shap-partition": lambda *given: by_shap(*given, "partition"),
        "shap-kernel": by_kernel,
        "integrated-gradients": by_gradients,
    }
    explain = methods[args.method]
    explain(model, texts[0], args.samples)
    print(json.dumps({"ready": len(texts)}), flush=True)
    for line in sys.stdin:
        start, end = (int(word) for word in line.split()[1:])
        begun = time.perf_counter()
        found = [explain(model, text, args.samples) for text in texts[start:end]]
        seconds = time.perf_counter() - begun
        told = [{"label": int(label), "spans": spans} for label, spans in found]
        print(json.dumps({"slice": [start, end], "seconds": seconds, "found": told}), flush=True)


if __name__ == "__main__":
    main()
