"""TRL's SFTTrainer as a peer, for ``bench/dialogue_speed.py``. Runs in an environment of its own.

``assistant_only_loss`` wants a template that marks the answers with ``{% generation %}``. TRL brings one for some
models and refuses all others, SmolLM2 among them; so the model's own template is given the mark here, around an
answer's content and the token that ends it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

sys.path.insert(0, str(Path(__file__).resolve().parent))

from trainer import Turns, read

TURN = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
MARKED = (
    "{{'<|im_start|>' + message['role'] + '\n'}}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}"
)
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def conversations(rows: Dataset) -> list[dict]:
    """What is learnt from: token ids of each conversation, and the places of them that are."""
    out = []
    for row in rows:
        start = 0
        for length in row.get("seq_lengths") or [len(row["input_ids"])]:
            labels = row["labels"][start : start + length]
            learnt = [place for place, label in enumerate(labels) if place and label != -100]
            out.append({"ids": row["input_ids"][start : start + length], "learnt": learnt})
            start += length
    return out


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("base", "train", "out"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("epochs", "rank", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--precision", choices=["bf16", "fp32"], help="left out, as TRL has it")
    parser.add_argument("--rows", type=int, help="a batch; left out, as TRL has it")
    parser.add_argument("--accumulate", type=int, default=1, help="batches a step")
    parser.add_argument("--block", type=int, help="tokens of a block: conversations are packed, nothing is recomputed")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    assert TURN in tokenizer.chat_template, "the template of the base is another one"
    tokenizer.chat_template = tokenizer.chat_template.replace(TURN, MARKED)
    tuned = {
        **({} if args.precision is None else {"bf16": args.precision == "bf16"}),
        **({} if args.rows is None else {"per_device_train_batch_size": args.rows}),
        **({} if args.block is None else {"packing": True, "max_length": args.block, "gradient_checkpointing": False}),
    }
    arguments = SFTConfig(
        output_dir=args.out + ".trainer",
        assistant_only_loss=True,
        gradient_accumulation_steps=args.accumulate,
        num_train_epochs=args.epochs,
        learning_rate=args.rate,
        warmup_steps=0.1,  # below 1: a share of all steps
        weight_decay=0.01,
        seed=args.seed,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **tuned,
    )
    trainer = SFTTrainer(
        model=args.base,
        args=arguments,
        train_dataset=Dataset.from_list([{"messages": row["messages"]} for row in read(args.train)]),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=args.rank, lora_alpha=2 * args.rank, target_modules=list(TARGETS), task_type="CAUSAL_LM"
        ),
        callbacks=[Turns()],
    )
    out = Path(args.out)
    out.mkdir()
    mixed = trainer.accelerator.mixed_precision
    facts = {
        "precision": "fp32" if mixed == "no" else mixed,
        "conversations": conversations(trainer.train_dataset),
    }
    (out / "learnt.json").write_text(json.dumps(facts), encoding="utf-8")
    trainer.train()
    trainer.model.save_pretrained(args.out)
    print(json.dumps({"done": True, "threads": torch.get_num_threads()}), flush=True)


if __name__ == "__main__":
    main()
