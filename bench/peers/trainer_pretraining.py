"""The Hugging Face Trainer pretraining, as a peer: masked or causal, on documents that another process wrote.

As it comes, each document is an example, and a batch is padded to its longest. With ``--blocks`` the documents are
laid end to end and cut into blocks of the context (as the ``run_mlm`` and ``run_clm`` examples of transformers do),
which leaves no padding; documents then see each other.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
)

sys.path.insert(0, str(Path(__file__).resolve().parent))

from trainer import Turns, read


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("checkpoint", "ids", "objective", "out"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("rows", "context", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--blocks", action="store_true")
    args = parser.parse_args()
    masked = args.objective == "masked_lm"
    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    model = (AutoModelForMaskedLM if masked else AutoModelForCausalLM).from_pretrained(args.checkpoint)
    ids = [row["ids"] for row in read(args.ids)]
    if args.blocks:
        line = [token for row in ids for token in row]
        whole = len(line) // args.context * args.context
        ids = [line[start : start + args.context] for start in range(0, whole, args.context)]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm=masked, mlm_probability=args.share if masked else None)
    arguments = TrainingArguments(
        output_dir=args.out + ".trainer",
        per_device_train_batch_size=args.rows,
        num_train_epochs=1,
        learning_rate=args.rate,
        warmup_steps=0.1,  # below 1: a share of all steps
        weight_decay=0.01,
        seed=args.seed,
        use_cpu=True,
        bf16=args.bf16,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    rows = Dataset.from_dict({"input_ids": ids})
    Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collator, callbacks=[Turns()]).train()
    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    print(json.dumps({"done": True, "threads": torch.get_num_threads()}), flush=True)


if __name__ == "__main__":
    main()
