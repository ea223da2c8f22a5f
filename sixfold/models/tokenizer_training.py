"""Training a tokenizer from text: byte-level BPE, WordPiece, Unigram with byte fallback, characters.

The algorithms are those of the ``tokenizers`` library. What is decided here: the pre-tokenizer, so that decoders export
to GGUF; the special tokens, so that every encoder and every decoder of ours has the same; and what a vocabulary that is
too small is told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

from sixfold.errors import DataError, UsageError, unknown

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Kind = Literal["bpe", "wordpiece", "unigram", "characters"]
PreTokenizer = Literal["gpt2", "qwen2"]
Use = Literal["encoder", "decoder"]

ENCODER_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DECODER_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
"""The first ends a text; the next two stand around a turn of a dialogue, as in ChatML."""

BYTES = 256
PRIVATE, PRIVATE_LETTERS = 0xF0000, 0x1FFFE - 2
"""The private letters of Unicode's last two planes, for a while."""
LIMIT = 512
"""``model_max_length`` of a new tokenizer; a model with more positions raises it."""

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's splitting pattern, which llama.cpp knows by the name ``qwen2``: digits stand alone."""


@dataclass(frozen=True)
class Measure:
    """How well a tokenizer fits some text.

    Attributes:
        texts: how many were measured.
        characters: in them.
        words: runs between blanks; a Chinese character counts as a word.
        tokens: without special tokens.
        unknown: tokens that stand for text the vocabulary cannot spell.
        vocabulary: tokens that it knows.
    """

    texts: int
    characters: int
    words: int
    tokens: int
    unknown: int
    vocabulary: int

    @property
    def tokens_a_character(self) -> float:
        return self.tokens / max(1, self.characters)

    @property
    def tokens_a_word(self) -> float:
        return self.tokens / max(1, self.words)

    @property
    def unknown_share(self) -> float:
        return self.unknown / max(1, self.tokens)

    def to_dict(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "tokens_a_character": self.tokens_a_character,
            "tokens_a_word": self.tokens_a_word,
            "unknown_share": self.unknown_share,
        }


def train_tokenizer(
    texts: Iterable[str],
    kind: Kind,
    *,
    vocabulary: int = 16_000,
    use: Use = "encoder",
    pre_tokenizer: PreTokenizer = "gpt2",
    lower: bool = False,
    least: int = 2,
) -> PreTrainedTokenizerFast:
    """A new tokenizer.

    Args:
        texts: gone through once (``characters`` and every other kind alike), so a generator will do.
        kind: ``bpe`` on bytes (Sennrich et al. 2016, arXiv:1508.07909; on bytes as in GPT-2), which spells every
            string; ``wordpiece`` (Devlin et al. 2019); ``unigram`` (Kudo 2018, arXiv:1804.10959) with a byte for what
            it cannot spell; ``characters``. The same text gives the same tokenizer, but for ``unigram``.
        vocabulary: most tokens, special ones included. Fewer come out of a small text.
        use: which special tokens it has: an encoder's ``[CLS] … [SEP]``, or a decoder's end of text and turns.
        pre_tokenizer: how ``bpe`` splits before merging: GPT-2's pattern or Qwen2's, both known to llama.cpp.
        lower: fold capitals. Not for ``bpe``, which keeps every string as it is.
        least: how often a pair, or a character, must occur.

    Raises:
        UsageError: no such kind, or a vocabulary too small to spell with.
        DataError: there is no text.
    """
    for what, value, known in (
        ("kind of tokenizer", kind, Kind),
        ("use of a tokenizer", use, Use),
        ("pre-tokenizer", pre_tokenizer, PreTokenizer),
    ):
        if value not in get_args(known):
            raise unknown(what, value, get_args(known))
    special = ENCODER_SPECIAL if use == "encoder" else DECODER_SPECIAL
    _refuse_small(kind, vocabulary, len(special))
    if kind == "bpe" and lower:
        raise UsageError("byte-level BPE keeps every string as it is", found="lower: true", hint="take wordpiece")
    given = _Counted(texts)
    if kind == "characters":
        tokenizer = _characters(given, special, vocabulary, least, lower)
    elif kind == "wordpiece":
        tokenizer = _wordpiece(given, special, vocabulary, least, lower)
    elif kind == "bpe":
        tokenizer = _bpe(given, special, vocabulary, least, pre_tokenizer)
    else:
        tokenizer = _unigram(given, special, vocabulary, lower)
    if not given.count:
        raise DataError("there is no text to train a tokenizer on")
    return _wrapped(tokenizer, use)


class _Counted:
    """An iterable of texts that knows how many it has given."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts, self.count = texts, 0

    def __iter__(self) -> Iterator[str]:
        for text in self.texts:
            self.count += 1
            yield text


def _refuse_small(kind: Kind, vocabulary: int, special: int) -> None:
    least = special + (BYTES if kind in ("bpe", "unigram") else 1)
    if vocabulary < least:
        reason = f"{BYTES} bytes and {special} special tokens" if least > BYTES else f"{special} special tokens and one"
        raise UsageError(
            f"a vocabulary of {vocabulary:,} is too small",
            where="vocabulary",
            hint=f"a {kind} tokenizer needs at least {least:,} ({reason}); 8,000 to 32,000 is usual",
        )


def _bpe(texts: Iterable[str], special: tuple[str, ...], vocabulary: int, least: int, splitting: PreTokenizer) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    if splitting == "qwen2":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=least,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _wordpiece(texts: Iterable[str], special: tuple[str, ...], vocabulary: int, least: int, lower: bool) -> Any:
    """BPE on words whose later letters are other letters than the first (``##a``).

    The library's own trainer numbers the pieces in the order of a hash table, which is another one in every process,
    and breaks ties by these numbers. Here each later letter is a letter of a private range while BPE is trained: its
    alphabet is sorted, so the same text always gives the same tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece({}, unk_token=_unknown(special)))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        pieces = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(text))
        counts.update(word for word, _ in pieces)
    letters = sorted({letter for word in counts for letter in word[1:]})[:PRIVATE_LETTERS]
    later = {letter: chr(PRIVATE + place) for place, letter in enumerate(letters)}
    plain = {hidden: letter for letter, hidden in later.items()}
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(special),
        min_frequency=least,
        limit_alphabet=vocabulary - len(special),
        show_progress=False,
    )
    inner.train_from_iterator(_repeated(counts, later), trainer)
    found = sorted(inner.get_vocab().items(), key=lambda item: item[1])
    spelt = ["##" * (token[0] in plain) + "".join(plain.get(letter, letter) for letter in token) for token, _ in found]
    tokenizer.model = models.WordPiece(
        {token: index for index, token in enumerate([*special, *spelt])}, unk_token=_unknown(special)
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _repeated(counts: Counter[str], later: dict[str, str]) -> Iterator[str]:
    """Each word as often as it occurs, its later letters as private ones, a few thousand at a time."""
    for word, count in counts.items():
        spelt = word[:1] + "".join(later.get(letter, letter) for letter in word[1:]) + " "
        for start in range(0, count, 4096):
            yield spelt * min(4096, count - start)


def _unigram(texts: Iterable[str], special: tuple[str, ...], vocabulary: int, lower: bool) -> Any:
    """The library's trainer adds up in the order of a hash table: two trainings on one text may differ a little."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    steps: list[Any] = [normalizers.NFKC(), *([normalizers.Lowercase()] if lower else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    names = [f"<0x{byte:02X}>" for byte in range(BYTES)]
    trainer = trainers.UnigramTrainer(
        vocab_size=vocabulary,
        special_tokens=[*special, *names],
        unk_token=_unknown(special),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _with_byte_fallback(tokenizer)


def _with_byte_fallback(tokenizer: Any) -> Any:
    """The same Unigram model, spelling what it does not know in bytes: the trainer cannot be told to."""
    from tokenizers import Tokenizer

    content = json.loads(tokenizer.to_str())
    content["model"]["byte_fallback"] = True
    byte = {f"<0x{number:02X}>" for number in range(BYTES)}
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in byte]
    return Tokenizer.from_str(json.dumps(content))


def _characters(texts: Iterable[str], special: tuple[str, ...], vocabulary: int, least: int, lower: bool) -> Any:
    """Each character is a token. Full-width letters and digits are folded into their usual forms (NFKC)."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    steps: list[Any] = [normalizers.NFKC(), *([normalizers.Lowercase()] if lower else [])]
    normalizer = normalizers.Sequence(steps)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    known = [character for character, count in counts.most_common() if count >= least and not character.isspace()][
        : vocabulary - len(special)
    ]
    table = {token: index for index, token in enumerate([*special, *sorted(known)])}
    tokenizer = Tokenizer(models.WordLevel(table, unk_token=_unknown(special)))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex("."), "isolated")]
    )
    return tokenizer


def _unknown(special: tuple[str, ...]) -> str:
    return "[UNK]" if "[UNK]" in special else special[0]


def _wrapped(tokenizer: Any, use: Use) -> PreTrainedTokenizerFast:
    """As transformers loads it, with the special tokens' roles."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    roles: dict[str, str]
    if use == "decoder":
        end, _, _, pad = DECODER_SPECIAL
        roles = {"eos_token": end, "bos_token": end, "unk_token": end, "pad_token": pad}
    else:
        pad, unknown_token, first, last, mask = ENCODER_SPECIAL
        roles = {
            "pad_token": pad,
            "unk_token": unknown_token,
            "cls_token": first,
            "sep_token": last,
            "mask_token": mask,
        }
        ends = [(token, tokenizer.token_to_id(token)) for token in (first, last)]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}", pair=f"{first} $A {last} $B {last}", special_tokens=ends
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=LIMIT,
        clean_up_tokenization_spaces=False,
        **(roles if use == "encoder" else {**roles, "additional_special_tokens": list(DECODER_SPECIAL[1:3])}),
    )


def measure(tokenizer: Any, texts: Iterable[str], *, most: int = 2_000) -> Measure:
    """Tokens a character and a word, and the share of unknowns, on up to ``most`` texts.

    Text that spells a special token is read as text.
    """
    from sixfold.text.segment import units

    sample = list(islice(texts, most))
    rows = []
    if sample:  # verbose: these texts are not for a model, so none is too long
        rows = tokenizer(sample, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    unknown_id = tokenizer.unk_token_id
    return Measure(
        texts=len(sample),
        characters=sum(map(len, sample)),
        words=sum(units(text) for text in sample),
        tokens=sum(map(len, rows)),
        unknown=sum(row.count(unknown_id) for row in rows),
        vocabulary=len(tokenizer),
    )
