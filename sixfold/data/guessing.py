"""Guessing what a user's file is for: the task, its columns, a split, a base. Every guess comes with its reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sixfold.data import walking
from sixfold.data.arrow import as_text
from sixfold.data.encodings import EncodingError
from sixfold.data.sources import FILE, LINE, read
from sixfold.data.tags import TAG
from sixfold.errors import DataError, nearest
from sixfold.text import language, units

if TYPE_CHECKING:
    import datasets

SAMPLE_ROWS = 5000
MAX_CLASSES = 300
ENGLISH_BASE = "minilm-l6"
TEXT_NAMES = (
    *("text", "sentence", "review", "comment", "content", "question", "utterance", "message", "body", "description"),
    *("query", "title", "document", "文本", "内容", "正文", "评论", "评价", "句子", "问题", "标题", "留言"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "category", "categories", "intent", "topic", "sentiment", "stars", "rating", "score"),
    *("target", "tag", "tags", "type", "标签", "类别", "分类", "情感", "星级", "评分", "意图", "主题", "类型"),
)
Role = Literal["text", "label", "labels", "id", "date", "number", "words", "tags", "other"]

_ID_NAME = re.compile(
    r"(.*[_\W])?(id|uuid|guid|index|idx|no|nr|key|code)|column_\d+|.*(编号|序号|代码|单号)", re.IGNORECASE
)
_DATE = re.compile(r"\d{4}[-/.年]\d{1,2}([-/.月]\d{1,2}日?)?([ T]\d{1,2}:\d{2}.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)*%?")


@dataclass(frozen=True)
class Profile:
    """One column, as the first rows show it.

    Attributes:
        name: of the column.
        role: what it looks like.
        why: a clause that says so.
        distinct: different values (different class names, for several labels).
        mean_units: mean length in words (a Chinese character is one).
    """

    name: str
    role: Role
    why: str
    distinct: int
    mean_units: float


@dataclass(frozen=True)
class Guess:
    """What a source seems to be for.

    Attributes:
        source: as the user wrote it.
        task: ``text_classification`` or ``token_classification``.
        columns: role -> column of the file.
        encoding: to be named in the recipe; None for UTF-8.
        format: to be named; None when the file's name tells it.
        split: fractions to cut off train; empty when the source has its splits.
        base: a model of the catalogue, or None for a small encoder from scratch.
        language: of most texts.
        rows: by split.
        why: the reasons, a sentence each.
    """

    source: str
    task: Literal["text_classification", "token_classification"]
    columns: dict[str, str]
    encoding: str | None
    format: str | None
    split: dict[str, float]
    base: str | None
    language: str
    rows: dict[str, int]
    why: tuple[str, ...]


def guess(
    source: str,
    *,
    format: str | None = None,  # noqa: A002
    encoding: str | None = None,
) -> Guess:
    """Look at a source and guess what it is for.

    A file in another encoding than UTF-8 is read in the one that is detected; the reasons show some of its text.

    Raises:
        DataError: nothing can be guessed; it says what was looked at.
        UsageError, DataError: as ``read``.
    """
    why: list[str] = []
    try:
        splits = read(source, format=format, encoding=encoding)
    except EncodingError as error:
        if error.detected is None or encoding is not None:
            raise
        encoding = error.detected
        splits = read(source, format=format, encoding=encoding)
        why.append(f"The file is in {encoding}, not UTF-8 ({error.found}).")
    first = next(iter(splits.values()))
    profiles = [_profile(first, name) for name in first.column_names if name not in (FILE, LINE)]
    task, columns = _decide(first, profiles, why, source)
    tongue = _language(first, columns["text" if "text" in columns else "words"])
    base = ENGLISH_BASE if tongue == "en" else None
    why.append(
        f"Most texts are English: {ENGLISH_BASE} is a base for English."
        if base
        else f"Most texts are {_tongue(tongue)}: no base of the catalogue reads it, so a small encoder is "
        "made from scratch."
    )
    split = {name: 0.1 for name in ("validation", "test") if name not in splits}
    why.append(_split_sentence(split, {name: len(rows) for name, rows in splits.items()}))
    rows = {name: len(some) for name, some in splits.items()}
    return Guess(source, task, columns, encoding, format, split, base, tongue, rows, tuple(why))


def _tongue(code: str) -> str:
    names = {"zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ru": "in Cyrillic letters", "und": "without letters"}
    return names.get(code, f"in {code!r}")


def _split_sentence(split: dict[str, float], rows: dict[str, int]) -> str:
    if not split:
        return "The source has its own validation and test splits."
    parts = " and ".join(f"{share:.0%} for {name}" for name, share in split.items())
    sentence = f"{parts} are cut off the {rows.get('train', 0):,} rows of train by a hash of their content."
    few = "" if rows.get("train", 0) >= 100 else " That is few: measure more than once, or bring more rows."
    return sentence + few


def _profile(rows: datasets.Dataset, name: str) -> Profile:
    # Spread over the file: many files are sorted by label.
    sample = rows.select(range(0, len(rows), max(1, len(rows) // SAMPLE_ROWS)))
    cells = [cell for table in walking.tables(sample, [name]) for cell in table[name].to_pylist() if cell is not None]
    if not cells:
        return Profile(name, "other", "has no values", 0, 0.0)
    if isinstance(cells[0], list):
        return _profile_lists(name, cells)
    if isinstance(cells[0], dict):
        return Profile(name, "other", "holds objects", len(cells), 0.0)
    strings = [string.strip() for string in map(as_text, cells) if string and string.strip()]
    if not strings:
        return Profile(name, "other", "is empty", 0, 0.0)
    found = _profile_strings(name, strings)
    empty = 1 - len(strings) / len(sample)
    return replace(found, why=f"{found.why}, and is empty in {empty:.0%} of the rows") if empty > 0.01 else found


def _profile_lists(name: str, cells: Sequence[list[Any]]) -> Profile:
    flat = [one for cell in cells for one in cell]
    distinct = len(set(map(str, flat)))
    if not flat or not all(isinstance(one, str) for one in flat):
        return Profile(name, "other", "holds lists of something else than strings", distinct, 0.0)
    mean = len(flat) / len(cells)
    if all(TAG.fullmatch(one) for one in flat):
        return Profile(name, "tags", f"holds lists of tags ({distinct} different ones)", distinct, mean)
    if distinct <= MAX_CLASSES and mean <= 5 and distinct * 2 <= len(flat):
        return Profile(name, "labels", f"holds lists of {distinct} different class names", distinct, mean)
    return Profile(name, "words", f"holds lists of {mean:.0f} words in the mean", distinct, mean)


def _profile_strings(name: str, strings: Sequence[str]) -> Profile:
    counts = Counter(strings)
    distinct = len(counts)
    mean = sum(map(units, strings)) / len(strings)

    def made(role: Role, why: str, values: int = distinct) -> Profile:
        return Profile(name, role, why, values, mean)

    if _share(_DATE, strings) > 0.9:
        return made("date", "holds dates")
    unique = distinct / len(strings)
    compact = sum(" " not in string and len(string) <= 40 for string in strings) / len(strings) > 0.95
    if _ID_NAME.fullmatch(name) and compact and (unique > 0.5 or distinct > MAX_CLASSES):
        return made("id", "is a number or code of the row")
    if len(strings) > 1 and all(TAG.fullmatch(part) for string in strings[:200] for part in string.split()):
        return made("tags", "holds tags separated by blanks")
    several = _several(strings)
    if several:
        return made("labels", f"holds several of {several} class names in one cell", several)
    numeric = _share(_NUMBER, strings) > 0.95
    few = 2 <= distinct <= MAX_CLASSES and unique <= 0.5 and mean <= 8
    if few and not (numeric and distinct > 20):
        return made("label", f"has {distinct} different short values in {len(strings):,} rows")
    if numeric:
        if unique > 0.95 and len(strings) > 2 and all(string.isdigit() for string in strings):
            return made("id", "counts the rows, or is another number that hardly repeats")
        return made("number", f"holds {distinct:,} different numbers")
    if distinct == 1:
        return made("other", "has one value only")
    return made("text", f"holds strings of {mean:.0f} words in the mean, {unique:.0%} of them different")


def _share(pattern: re.Pattern[str], strings: Sequence[str]) -> float:
    return sum(pattern.fullmatch(string) is not None for string in strings) / len(strings)


def _several(strings: Sequence[str]) -> int:
    """How many class names the cells are made of, when they look like ``a;b;c``; otherwise 0."""
    for mark in ";|":
        joined = sum(mark in string for string in strings)
        parts = {part.strip() for string in strings for part in string.split(mark) if part.strip()}
        short = all(len(part) <= 30 and units(part) <= 5 for part in parts)
        if joined * 10 >= len(strings) and short and len(parts) <= MAX_CLASSES and len(parts) < len(strings):
            return len(parts)
    return 0


def _decide(
    rows: datasets.Dataset, profiles: Sequence[Profile], why: list[str], source: str
) -> tuple[Literal["text_classification", "token_classification"], dict[str, str]]:
    by_role: dict[str, list[Profile]] = {}
    for profile in profiles:
        by_role.setdefault(profile.role, []).append(profile)
    tags = by_role.get("tags", [])
    for tag in tags:
        words = next((one for one in profiles if one not in tags and _aligned(rows, one.name, tag.name)), None)
        if words is not None:
            why.append(f"The column {tag.name!r} {tag.why}: the task is to tag words.")
            why.append(f"The column {words.name!r} has as many words in every row: these are the words.")
            return "token_classification", {"words": words.name, "tags": tag.name}
    text = max(by_role.get("text", []), key=_text_rank, default=None)
    label = max(by_role.get("label", []) + by_role.get("labels", []) + tags, key=_label_rank, default=None)
    if text is None or label is None:
        raise _cannot(profiles, text, source)
    role = label.role
    why.append(f"The column {text.name!r} {text.why}: this is the text.")
    why.append(
        f"The column {label.name!r} {label.why}: {'these are the labels' if role == 'labels' else 'this is the label'}."
    )
    for other in profiles:
        if other not in (text, label):
            why.append(f"The column {other.name!r} {other.why}: it is not used.")
    return "text_classification", {"text": text.name, role: label.name}


def _aligned(rows: datasets.Dataset, words: str, tags: str) -> bool:
    """Whether the first rows have as many words as tags, in lists or between blanks."""

    def count(cell: Any) -> int:
        return len(cell if isinstance(cell, list) else (as_text(cell) or "").split())

    some = rows.select(range(min(200, len(rows))))
    counts = [(count(row[words]), count(row[tags])) for row in some]
    return all(here == there for here, there in counts) and any(here > 1 for here, _ in counts)


def _text_rank(profile: Profile) -> float:
    return profile.mean_units * (3 if _is_usual(profile.name, TEXT_NAMES) else 1)


def _label_rank(profile: Profile) -> tuple[bool, int]:
    return _is_usual(profile.name, LABEL_NAMES), -profile.distinct


def _is_usual(name: str, usual: Sequence[str]) -> bool:
    return any(part in usual for part in (name.lower(), *re.split(r"[\W_]+", name.lower())))


def _cannot(profiles: Sequence[Profile], text: Profile | None, source: str) -> DataError:
    looked = "; ".join(f"{profile.name!r} {profile.why}" for profile in profiles)
    best = nearest("label", [profile.name for profile in profiles if profile is not text])
    return DataError(
        "nothing tells what to learn from this source: "
        + ("no column looks like a text" if text is None else "no column looks like a label, nor like tags"),
        where=source,
        found=looked,
        nearest=best,
        hint="a label has few different short values, a text has several words; "
        "name the columns yourself in a recipe: `columns: {text: ..., label: ...}`",
    )


def _language(rows: datasets.Dataset, name: str) -> str:
    counts: Counter[str] = Counter()
    for cell in rows.select(range(0, len(rows), max(1, len(rows) // 1000)))[name]:
        counts[language("".join(cell) if isinstance(cell, list) else as_text(cell) or "")] += 1
    known = Counter({name: count for name, count in counts.items() if name != "und"})
    return known.most_common(1)[0][0] if known else "und"
