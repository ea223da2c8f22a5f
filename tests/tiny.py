"""Tiny random models for tests: an encoder and a decoder, built in a moment, the same for the same seed.

Nothing here is downloaded. Assertions live in the tests, not here.
"""

from __future__ import annotations

import string
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (  # noqa: SIM905 (a list of sixty strings reads worse)
    "the a an of to in on and is was are it i you he she they we not no very good bad great poor "
    "film movie book hotel bank money card pay lost love hate best worst like dog cat red blue big "
    "small play plays run runs what how when where who why day time house city new old"
).split()
CHINESE = (
    "的一是不了在人有我好坏书北京海上李王张明他这个们中来大为和国地到以说时要就出会可也你对生酒店很房间服务价格差棒"
)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def wordpiece_vocabulary(chinese: bool = False) -> list[str]:
    """Special tokens, ASCII marks, letters and digits (also as continuations), words, Chinese characters."""
    marks = list(string.punctuation)
    letters = list(string.ascii_lowercase + string.digits)
    characters = dict.fromkeys(CHINESE if chinese else CHINESE[:20])
    pieces = [*SPECIALS, *marks, "。", "，", "！", "？", *letters, *(f"##{letter}" for letter in letters)]
    pieces += ["##s", "##ing", "##ed", *WORDS, *characters]
    return list(dict.fromkeys(pieces))


def tiny_encoder(
    folder: Path,
    *,
    layers: int = 2,
    hidden: int = 32,
    vocab: list[str] | None = None,
    chinese: bool = False,
    max_positions: int = 64,
    dropout: float = 0.0,
    seed: int = 0,
) -> Path:
    """A random BertModel and a lower-casing WordPiece tokenizer, saved in ``folder``.

    No ASCII letter, digit or mark is ever [UNK]; ``chinese`` adds about forty characters to twenty.
    ``vocab`` must hold the five special tokens when it is given. Dropout is 0 unless asked for.
    """
    import torch
    from transformers import BertConfig, BertModel, BertTokenizer

    pieces = vocab if vocab is not None else wordpiece_vocabulary(chinese)
    tokenizer = BertTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)}, model_max_length=max_positions
    )
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=max_positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.1,
        pad_token_id=pieces.index("[PAD]"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)


def byte_tokenizer(max_positions: int = 128, pad: bool = True):  # type: ignore[no-untyped-def]
    """A byte-level BPE tokenizer without merges: one token a byte, plus ChatML's special tokens."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(["<|pad|>"] if pad else [])]
    vocabulary = {piece: index for index, piece in enumerate([*specials, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(specials)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        model_max_length=max_positions,
        clean_up_tokenization_spaces=False,
        **({"pad_token": "<|pad|>"} if pad else {}),
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tiny_decoder(
    folder: Path,
    *,
    layers: int = 2,
    hidden: int = 32,
    max_positions: int = 128,
    pad: bool = True,
    seed: int = 0,
) -> Path:
    """A random LlamaForCausalLM (tied embeddings) and a byte-level tokenizer, saved in ``folder``.

    ``pad=False`` leaves tokenizer and config without a padding token, as many public decoders are.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer(max_positions, pad)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=max_positions,
        initializer_range=0.1,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)
