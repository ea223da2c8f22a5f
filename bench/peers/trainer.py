"""The Hugging Face Trainer as a peer: runs in a virtual environment of its own and knows nothing of Sixfold.

Trains a checkpoint on rows that another process wrote, a slice of steps at a time as it is told over standard input,
so that two peers can take turns on one machine. At the end it writes its predictions on the validation rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Turns(TrainerCallback):
    """Waits for ``go N``, lets N steps pass, says how long they took."""

    def __init__(self) -> None:
        self.left, self.start = 0, 0.0

    def wait(self) -> None:
        words = sys.stdin.readline().split()
        self.left, self.start = int(words[1]), time.perf_counter()

    def on_train_begin(self, args, state, control, **kwargs):
        print(json.dumps({"ready": state.max_steps}), flush=True)
        self.wait()

    def on_step_end(self, args, state, control, **kwargs):
        self.left -= 1
        if self.left == 0 or state.global_step == state.max_steps:
            seconds = time.perf_counter() - self.start
            print(json.dumps({"step": state.global_step, "seconds": seconds}), flush=True)
            if state.global_step < state.max_steps:
                self.wait()


def read(path: str) -> list[dict]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def encode(rows: list[dict], tokenizer, labels: list[str], task: str) -> Dataset:
    index = {label: place for place, label in enumerate(labels)}
    if task == "text_classification":
        ids = tokenizer([row["text"] for row in rows], truncation=True)
        return Dataset.from_dict({**ids, "labels": [index[row["label"]] for row in rows]})
    ids = tokenizer([row["words"] for row in rows], truncation=True, is_split_into_words=True)
    targets = []
    for place, row in enumerate(rows):
        seen, line = None, []
        for word in ids.word_ids(place):
            line.append(-100 if word is None or word == seen else index[row["tags"][word]])
            seen = word
        targets.append(line)
    return Dataset.from_dict({**ids, "labels": targets})


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "train", "validation", "labels", "task", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--group-by-length", action="store_true")
    parser.add_argument("--no-attention-dropout", action="store_true")
    args = parser.parse_args()
    with open(args.labels, encoding="utf-8") as file:
        labels = json.load(file)
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    token = args.task == "token_classification"
    kind = AutoModelForTokenClassification if token else AutoModelForSequenceClassification
    options = {"attention_probs_dropout_prob": 0.0} if args.no_attention_dropout else {}
    model = kind.from_pretrained(args.checkpoint, **options)
    train = encode(read(args.train), tokenizer, labels, args.task)
    validation = encode(read(args.validation), tokenizer, labels, args.task)
    collator = DataCollatorForTokenClassification(tokenizer) if token else DataCollatorWithPadding(tokenizer)
    arguments = TrainingArguments(
        output_dir=args.out + ".trainer",
        per_device_train_batch_size=args.batch,
        per_device_eval_batch_size=args.batch,
        num_train_epochs=args.epochs,
        learning_rate=args.rate,
        warmup_steps=0.1,  # below 1: a share of all steps
        weight_decay=0.01,
        seed=args.seed,
        use_cpu=True,
        bf16=args.bf16,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **({"train_sampling_strategy": "group_by_length"} if args.group_by_length else {}),
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=train, data_collator=collator, callbacks=[Turns()])
    trainer.train()
    logits = trainer.predict(validation).predictions
    with open(args.out, "w", encoding="utf-8") as file:
        for line, row in zip(logits, validation["labels"], strict=True):
            best = line.argmax(-1)
            answer = [labels[b] for b, t in zip(best, row, strict=False) if t != -100] if token else labels[int(best)]
            file.write(json.dumps(answer) + "\n")
    print(json.dumps({"done": True, "threads": torch.get_num_threads()}), flush=True)


if __name__ == "__main__":
    main()
