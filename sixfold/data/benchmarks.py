"""The public data sets in the SIXFOLD_DATA folder: one table row each. Their parsers are in ``benchmark_files.py``."""

from __future__ import annotations

from functools import partial

from sixfold.data import benchmark_files as parse
from sixfold.data.datasheet import CUT, DataSet, Part

_PHRASEBANK = {
    "financial_phrasebank": ("50Agree", "at least half", {"train": 3852, "validation": 465, "test": 529}),
    "financial_phrasebank_66": ("66Agree", "at least two thirds", {"train": 3359, "validation": 392, "test": 466}),
    "financial_phrasebank_75": ("75Agree", "at least three quarters", {"train": 2741, "validation": 324, "test": 388}),
    "financial_phrasebank_all": ("AllAgree", "all", {"train": 1791, "validation": 218, "test": 255}),
}
_SNIPS_NOTES = ("official split of Goo et al.; some utterances of train are also in validation or test",)


def _snips(split: str, kind: str) -> Part:
    return Part(tuple(f"{split}/{name}" for name in ("label", "seq.in", "seq.out")), partial(parse.snips, kind=kind))


def _phrasebank(name: str) -> DataSet:
    level, share, splits = _PHRASEBANK[name]
    return DataSet(
        name=name,
        what=f"sentiment of financial news sentences on which {share} of the annotators agree",
        task="text_classification",
        language="en",
        splits=splits,
        labels=3,
        licence="CC BY-NC-SA 3.0",
        source="Malo et al. 2014, JASIST 65(4)",
        folder="financial_phrasebank",
        parts={"train": Part((f"Sentences_{level}.txt",), parse.phrasebank)},
        cut=CUT,
        notes=(
            "no official split: 80/10/10 by content",
            "latin-1; some letters were damaged at the source (Sepp+ñl+ñ)",
        ),
    )


def _trec(fine: bool) -> DataSet:
    return DataSet(
        name="trec_fine" if fine else "trec",
        what=f"kind of answer that a question asks for, {'50 fine' if fine else '6 coarse'} classes",
        task="text_classification",
        language="en",
        splits={"train": 5452, "test": 500},
        labels=50 if fine else 6,
        licence="MIT (repository)",
        source="Li & Roth 2002, COLING",
        folder="trec",
        parts={split: Part((f"TREC.{split}",), partial(parse.trec, fine=fine)) for split in ("train", "test")},
        notes=("latin-1", "the official split"),
    )


SETS: tuple[DataSet, ...] = (
    DataSet(
        name="conll2003_en",
        what="names of people, places, organisations and others in Reuters news",
        task="token_classification",
        language="en",
        splits={"train": 14041, "validation": 3250, "test": 3453},
        labels=4,
        licence="none stated; the text is Reuters RCV1 (NIST agreement): do not publish it",
        source="Tjong Kim Sang & De Meulder 2003, CoNLL",
        folder="conll2003_en",
        parts={
            split: Part((file,), partial(parse.conll, documents=True))
            for split, file in (("train", "eng.train"), ("validation", "eng.testa"), ("test", "eng.testb"))
        },
        on=("words",),
        extra=("document",),
        notes=(
            "tags are IOB1, as in the original files",
            "78 distinct sentences of test and 129 of validation (short headers) are also in train",
        ),
    ),
    DataSet(
        name="cluener",
        what="fine-grained entities of ten types in news",
        task="token_classification",
        language="zh",
        splits={"train": 10748, "validation": 1343},
        labels=10,
        licence="not stated",
        source="Xu et al. 2020, arXiv:2001.04351",
        folder="cluener",
        parts={
            split: Part((file,), parse.cluener) for split, file in (("train", "train.json"), ("validation", "dev.json"))
        },
        on=("words",),
        notes=(
            "the published test set (1,345 rows) has no labels and is left out: figures are told on validation",
            "words are characters, tags BIO; where one of two entities lies inside the other, the longer one stands",
        ),
    ),
    DataSet(
        name="msra_ner",
        what="names of people, places and organisations in news",
        task="token_classification",
        language="zh",
        splits={"train": 50658, "test": 4631},
        labels=3,
        licence="not stated (research use)",
        source="Levow 2006, SIGHAN",
        folder="msra_ner",
        parts={split: Part((file,), parse.conll) for split, file in (("train", "train.txt"), ("test", "dev.txt"))},
        on=("words",),
        notes=("dev.txt of this release is the official test set", "one sentence is in both splits"),
    ),
    DataSet(
        name="sst2_glue",
        what="sentiment of phrases from film reviews",
        task="text_classification",
        language="en",
        splits={"train": 60614, "validation": 6735, "test": 872},
        labels=2,
        licence="MIT (repository)",
        source="Socher et al. 2013, EMNLP; GLUE; split again by the ALPS authors",
        folder="sst2_glue",
        parts={
            split: Part((file,), partial(parse.table, text="sentence", label="label", names=parse.SENTIMENT))
            for split, file in (("train", "train.tsv"), ("validation", "dev.tsv"), ("test", "test.tsv"))
        },
        notes=(
            "train + validation are GLUE's train, test is GLUE's validation",
            "train holds phrases and the sentences that they are parts of",
        ),
    ),
    DataSet(
        name="ag_news",
        what="topic of news descriptions",
        task="text_classification",
        language="en",
        splits={"train": 10001, "test": 7600},
        labels=4,
        licence="non-commercial research",
        source="Zhang, Zhao & LeCun 2015, NIPS; train part by ALPS",
        folder="ag_news",
        parts={
            split: Part((file,), partial(parse.table, text="text", label="label", header=("text", "label")))
            for split, file in (("train", "alps_dev_from_train_10k.tsv"), ("test", "alps_test_desc_only.tsv"))
        },
        notes=(
            "the published train file (120,000) is missing: train is the 10,001 rows that ALPS uses as dev set",
            "descriptions only, without the titles; 8 of them are in both splits",
        ),
    ),
    _trec(fine=False),
    _trec(fine=True),
    DataSet(
        name="banking77",
        what="intent of questions to a bank",
        task="text_classification",
        language="en",
        splits={"train": 10003, "test": 3080},
        labels=77,
        licence="CC BY 4.0",
        source="Casanueva et al. 2020, NLP4ConvAI",
        folder="banking77",
        parts={
            split: Part((f"{split}.csv",), partial(parse.table, text="text", label="category"))
            for split in ("train", "test")
        },
        notes=("no validation split: cut one off train",),
    ),
    DataSet(
        name="clinc150",
        what="intent of requests in ten domains, and out of scope",
        task="text_classification",
        language="en",
        splits={"train": 15100, "validation": 3100, "test": 5500},
        labels=151,
        licence="CC BY 3.0",
        source="Larson et al. 2019, EMNLP",
        folder="clinc150",
        parts={
            split: Part(("data_full.json", "domains.json"), partial(parse.clinc, split=key))
            for split, key in (("train", "train"), ("validation", "val"), ("test", "test"))
        },
        extra=("domain",),
        notes=("out-of-scope requests (100/100/1,000) have the label oos: a fifth of test, hardly any of train",),
    ),
    DataSet(
        name="snips",
        what="intent of spoken requests",
        task="text_classification",
        language="en",
        splits={"train": 13084, "validation": 700, "test": 700},
        labels=7,
        licence="Apache-2.0 (repository)",
        source="Coucke et al. 2018, arXiv:1805.10190; split of Goo et al. 2018",
        folder="snips",
        parts={
            split: _snips(folder, "intent")
            for split, folder in (("train", "train"), ("validation", "dev"), ("test", "test"))
        },
        notes=_SNIPS_NOTES,
    ),
    DataSet(
        name="snips_slots",
        what="slots of spoken requests",
        task="token_classification",
        language="en",
        splits={"train": 13084, "validation": 700, "test": 700},
        labels=39,
        licence="Apache-2.0 (repository)",
        source="Coucke et al. 2018, arXiv:1805.10190; split of Goo et al. 2018",
        folder="snips",
        parts={
            split: _snips(folder, "slots")
            for split, folder in (("train", "train"), ("validation", "dev"), ("test", "test"))
        },
        on=("words",),
        extra=("intent",),
        notes=_SNIPS_NOTES,
    ),
    *map(_phrasebank, _PHRASEBANK),
    DataSet(
        name="chnsenticorp",
        what="sentiment of reviews of hotels, books and computers",
        task="text_classification",
        language="zh",
        splits={"train": 9600, "validation": 1200, "test": 1200},
        labels=2,
        licence="not stated (repository Apache-2.0)",
        source="Tan & Zhang 2008, Expert Systems with Applications",
        folder="chnsenticorp",
        parts={
            split: Part((file,), partial(parse.table, text="text_a", label="label", names=parse.SENTIMENT))
            for split, file in (("train", "train.tsv"), ("validation", "dev.tsv"), ("test", "test.tsv"))
        },
        notes=(
            "334 distinct texts of test and 339 of validation are also in train: use `chnsenticorp:honest` for figures",
            "1,146 texts of test are in online_shopping_10_cats",
        ),
    ),
    DataSet(
        name="thucnews_titles",
        what="topic of news titles",
        task="text_classification",
        language="zh",
        splits={"train": 10000, "test": 10000},
        labels=10,
        licence="research use (repository MIT)",
        source="Li & Sun 2007; Sun et al. 2016, THUCTC",
        folder="thucnews_titles",
        parts={
            split: Part((file, "class.txt"), parse.thucnews)
            for split, file in (("train", "dev.txt"), ("test", "test.txt"))
        },
        notes=("the published train file (180,000) is missing: train is the published dev file",),
    ),
    DataSet(
        name="online_shopping_10_cats",
        what="sentiment of reviews of ten categories of goods",
        task="text_classification",
        language="zh",
        splits={"train": 50153, "validation": 6293, "test": 6328},
        labels=2,
        licence="not stated",
        source="SophonPlus ChineseNlpCorpus",
        folder="online_shopping_10_cats",
        parts={
            "train": Part(
                ("online_shopping_10_cats.csv",),
                partial(parse.table, text="review", label="label", names=parse.SENTIMENT, extra={"cat": "domain"}),
            )
        },
        cut=CUT,
        extra=("domain",),
        notes=(
            "no official split: 80/10/10 by content",
            "62,774 rows, 62,530 distinct texts; byte order marks inside texts are taken out",
        ),
    ),
    DataSet(
        name="amazon_mdsd",
        what="sentiment of reviews of books, films, electronics and kitchenware",
        task="text_classification",
        language="en",
        splits={"train": 6351, "validation": 832, "test": 817},
        labels=2,
        licence="not stated",
        source="Blitzer, Dredze & Pereira 2007, ACL",
        folder="amazon_mdsd",
        parts={
            "train": Part(
                tuple(
                    f"{domain}/{label}.review"
                    for domain in ("books", "dvd", "electronics", "kitchen")
                    for label in ("negative", "positive")
                ),
                parse.amazon,
            )
        },
        cut=CUT,
        extra=("title", "domain", "rating"),
        notes=("no official split: 80/10/10 by content", "names and places of the reviewers are not read"),
    ),
)
