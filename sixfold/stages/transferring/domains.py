"""Rows by domain: read, checked, their labels brought together, and what is in two domains taken out of training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import datasets

from sixfold.data import partition
from sixfold.data.walking import with_column
from sixfold.errors import DataError, SixfoldError, UsageError, unknown
from sixfold.metrics.tagging import spans
from sixfold.stages.rows import DataConfig, Prepared, held_out, prepare_rows
from sixfold.stages.transferring.config import Config, DomainConfig
from sixfold.tasks.contract import Task
from sixfold.text import segment
from sixfold.text.counting import counted

WORDS = 10_000
"""The most frequent words of each domain by which it is told how many domains share (Gururangan et al. 2020)."""
READ = 5_000
"""Training rows of a domain whose words are counted, at most."""


@dataclass(frozen=True)
class Domain:
    """A domain's rows.

    Attributes:
        split: the one that it is tested on.
        task: knows the labels that it is answered in.
        learnt: whether there are rows to learn from; False of one that is only tested.
    """

    name: str
    prepared: Prepared
    split: str
    task: Task
    learnt: bool

    @property
    def rows(self) -> datasets.DatasetDict:
        return self.prepared.rows

    @property
    def tested(self) -> datasets.Dataset:
        return self.rows[self.split]


@dataclass(frozen=True)
class Domains:
    """All domains of a stage.

    Attributes:
        every: learnt ones first, in the recipe's order.
        digests: by ``domain/split``.
        shared: by domain, the share of its frequent words that each other one has too.
    """

    every: dict[str, Domain]
    digests: dict[str, str]
    told: tuple[str, ...]
    shared: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def learnt(self) -> list[Domain]:
        return [one for one in self.every.values() if one.learnt]


def prepare(config: Config, *, seed: int) -> Domains:
    """Read and check every domain.

    Raises:
        DataError: what is wrong with a domain's rows, with its name; a domain of one class or one row; domains whose
            labels differ, unless the recipe says what to do.
    """
    found: dict[str, Prepared] = {}
    told: list[str] = []
    columns = config.new_task().columns
    for name, given in {**config.domains, **config.zero_shot}.items():
        try:
            prepared = prepare_rows(_plain(given), columns, seed=seed)
            held_out(prepared)
        except SixfoldError as error:
            error.what = f"domain {name}: {error.what}"
            raise
        found[name] = _mapped(prepared, given, config, name)
        told += [f"{name}: {line}" for line in prepared.told]
    found, lines = _without_shared(found, config)
    told += lines
    for name in config.domains:
        _check_enough(name, found[name], config)
    tasks = _tasks(config, found)
    every = {
        name: Domain(name, _told_again(prepared, config), held_out(prepared), tasks[name], name in config.domains)
        for name, prepared in found.items()
    }
    digests = {
        f"{name}/{split}": digest for name, one in every.items() for split, digest in one.prepared.digests.items()
    }
    return Domains(every, digests, tuple(told), overlap({name: _words(one) for name, one in every.items()}))


def _plain(given: DomainConfig) -> DataConfig:
    return DataConfig(**{name: getattr(given, name) for name in DataConfig.model_fields})


def _target(config: Config) -> str:
    return next(column.role for column in config.new_task().columns if column.target)


def labels_of(rows: Any, target: str) -> Counter[str]:
    """Rows by class, or entities by type."""
    if target == "tags":
        return Counter(kind for tags in rows[target] for kind, _, _ in spans(tags))
    return Counter(str(cell) for cell in rows[target])


def _mapped(prepared: Prepared, given: DomainConfig, config: Config, name: str) -> Prepared:
    """Rows whose labels are those that the recipe maps them to."""
    if not given.map:
        return prepared
    target = _target(config)
    there = {label for rows in prepared.rows.values() for label in labels_of(rows, target)}
    for label in given.map:
        if label not in there:
            raise unknown("label", label, sorted(there), where=f"domains.{name}.map")

    def change(cell: Any) -> Any:
        return [_tag(tag, given.map) for tag in cell] if target == "tags" else given.map.get(str(cell), cell)

    def mapped(splits: datasets.DatasetDict) -> datasets.DatasetDict:
        return datasets.DatasetDict({split: _changed(part, target, change) for split, part in splits.items()})

    return replace(prepared, rows=mapped(prepared.rows), masked=mapped(prepared.masked))


def _changed(rows: datasets.Dataset, column: str, change: Any) -> datasets.Dataset:
    order = rows.column_names
    return with_column(rows, column, change, rows.features.arrow_schema.field(column).type).select_columns(order)


def _tag(tag: str, names: Mapping[str, str]) -> str:
    mark, dash, kind = tag.partition("-")
    made = names.get(kind, kind)
    return "O" if not dash or made == "O" else f"{mark}-{made}"


def _without_shared(found: dict[str, Prepared], config: Config) -> tuple[dict[str, Prepared], list[str]]:
    """Take out of training what any domain is tested on: a mixture would learn the test of another."""
    inputs = [column.role for column in config.new_task().columns if not column.target]
    tested = {
        name: {key for split, rows in one.rows.items() if split != "train" for key in partition.keys(rows, inputs)}
        for name, one in found.items()
    }
    made, told = dict(found), []
    for name in config.domains:
        others = {key for other, keys in tested.items() if other != name for key in keys}
        rows = found[name].rows
        kept = [place for place, key in enumerate(partition.keys(rows["train"], inputs)) if key not in others]
        if gone := len(rows["train"]) - len(kept):
            told.append(f"{name}: {counted(gone, 'row')} taken out of train: held out in another domain")
            rows = datasets.DatasetDict({**rows, "train": rows["train"].select(kept)})
            keys = {**found[name].keys, "train": [found[name].keys["train"][place] for place in kept]}
            made[name] = replace(found[name], rows=rows, keys=keys)
    return made, told


def _told_again(prepared: Prepared, config: Config) -> Prepared:
    """What is said of the rows, now that labels were mapped and rows taken out."""
    roles = [column.role for column in config.new_task().columns]
    splits, digests = {}, {}
    for name, rows in prepared.rows.items():
        digests[name] = partition.digest(rows, [role for role in roles if role in rows.column_names])
        labels = dict(labels_of(rows, _target(config)).most_common())
        splits[name] = {"rows": len(rows), "digest": digests[name], "labels": labels}
    return replace(prepared, digests=digests, described={**prepared.described, "splits": splits})


def _check_enough(name: str, prepared: Prepared, config: Config) -> None:
    train = prepared.rows["train"]
    if len(train) < 2:
        raise DataError(
            f"domain {name} has {counted(len(train), 'row')} to learn from",
            hint="give it more, or only test on it: move it to zero_shot",
        )
    classes = labels_of(train, _target(config))
    if config.task == "text_classification" and len(classes) < 2:
        raise DataError(
            f"domain {name} has one class: there is nothing to tell apart",
            found=", ".join(classes),
            hint="give it rows of another class, or only test on it: move it to zero_shot",
        )


def _tasks(config: Config, found: Mapping[str, Prepared]) -> dict[str, Task]:
    """By domain, the task that knows its labels."""
    target = _target(config)
    there = {name: set(labels_of(one.rows["train"], target)) for name, one in found.items()}
    learnt = {name: there[name] for name in config.domains}
    if config.labels == "own":
        return {name: config.new_task().learn(found[name].rows["train"]) for name in config.domains}
    first = next(iter(learnt))
    other = next((name for name, labels in learnt.items() if labels != learnt[first]), None)
    if config.labels == "same" and other is not None:
        odd = sorted(learnt[first] ^ learnt[other])
        raise DataError(
            f"the domains {first} and {other} have other labels",
            found=f"only in one of them: {', '.join(odd[:10])}{', …' if len(odd) > 10 else ''}",
            hint=f"map them (domains.{other}.map: {{{odd[0]}: …}}), or set labels: union (one head) or own (one each)",
        )
    known = set().union(*learnt.values())
    for name in config.zero_shot:
        tested = {label for rows in found[name].rows.values() for label in labels_of(rows, target)}
        if tested - known:
            raise DataError(
                f"the domain {name}, which is never learnt, has labels that nobody learns",
                found=", ".join(sorted(tested - known)[:10]),
                hint=f"map them: zero_shot.{name}.map",
            )
    joined = datasets.concatenate_datasets(
        [found[name].rows["train"].select_columns([target]) for name in config.domains]
    )
    task = config.new_task().learn(joined)
    return dict.fromkeys(found, task)


def _words(domain: Domain) -> list[str]:
    """Its most frequent words, in small letters."""
    rows = domain.rows["train"]
    some = rows.select(partition.drawn(len(rows), READ, 0))
    counts: Counter[str] = Counter()
    for word in _spoken(some):
        counts[word.lower()] += 1
    return [word for word, _ in counts.most_common(WORDS)]


def _spoken(rows: datasets.Dataset) -> Iterator[str]:
    if "words" in rows.column_names:
        for words in rows["words"]:
            yield from words
        return
    for text in rows["text"]:
        for span in segment.words(text):
            yield text[span.start : span.end]


def overlap(words: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """By domain, the share of its words that each domain has too."""
    sets = {name: set(some) for name, some in words.items()}
    return {
        name: {other: len(own & theirs) / len(own) if own else 0.0 for other, theirs in sets.items()}
        for name, own in sets.items()
    }


def concatenated(parts: Sequence[datasets.Dataset], task: Task) -> datasets.Dataset:
    """Rows of several domains as one table, by the roles that the task reads."""
    roles = [column.role for column in task.columns if all(column.role in part.column_names for part in parts)]
    if not roles:
        raise UsageError("the domains have no column in common")
    return datasets.concatenate_datasets([part.select_columns(roles) for part in parts])
