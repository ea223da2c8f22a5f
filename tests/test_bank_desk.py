"""The dialogue set of the invented bank is well formed, and its assistant states only what the bank's articles say."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from sixfold.data import read

FOLDER = Path(__file__).parents[1] / "sixfold" / "data" / "bank_desk"
LANGUAGES = ("en", "zh")
TOPICS = {
    *("cards", "accounts", "transfers", "loans", "mortgages", "savings", "app", "security", "fees", "branches"),
    *("complaints", "statements", "business", "life", "talk"),
}
PHONES = ("0800 555 0142", "0800 555 0199", "400-555-0142", "400-555-0199")

ENGLISH = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
CHINESE = "两三四五六七八九十"
NUMBER_WORDS = {word: number for words in (ENGLISH, CHINESE) for number, word in enumerate(words, 2)}
NUMBER = r"\d+(?:\.\d+)?"
COUNT = rf"(?:{NUMBER}|\b(?:{'|'.join(ENGLISH)})\b|(?<![一二几{CHINESE}])[{CHINESE}])"
FIGURES = {
    "money": rf"£({NUMBER})|({NUMBER}万?)\s?(?:元|块)",
    "percent": rf"({NUMBER})\s?%",
    "working days": rf"({COUNT})[ -]working[ -]days?|({COUNT})个工作日",
    "days": rf"({COUNT})[ -]days?\b|({COUNT})天",
    "minutes": rf"({COUNT})[ -]minutes?|({COUNT})分钟",
    "hours": rf"({COUNT})[ -]hours?|({COUNT})个?小时",
    "weeks": rf"({COUNT})[ -]weeks?|({COUNT})(?:周(?!岁)|个星期)",
    "months": rf"({COUNT})[ -]months?|({COUNT})个月",
    "years": rf"({COUNT})[ -]years?|(?<!\d)({COUNT})年",
    "clock": rf"({NUMBER}) ?[ap]m\b|({NUMBER})点",
}


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


ARTICLES = {article["id"]: article for article in lines("knowledge.jsonl")}
TEMPLATES = lines("templates.jsonl")
CONVERSATIONS = {language: lines(f"conversations.{language}.jsonl") for language in LANGUAGES}
ALL = [conversation for language in LANGUAGES for conversation in CONVERSATIONS[language]]

each_conversation = pytest.mark.parametrize("conversation", ALL, ids=lambda conversation: conversation["id"])


def turns(conversation: dict[str, Any]) -> list[dict[str, str]]:
    return [message for message in conversation["messages"] if message["role"] != "system"]


def size(text: str) -> int:
    """Words, where each Chinese character counts as one."""
    return len(re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+", text))


def figures(text: str) -> set[tuple[str, float]]:
    """Every amount, share, span and time of day in `text`, as (kind, number)."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    found = set()
    for kind, pattern in FIGURES.items():
        for groups in re.findall(pattern, text, re.IGNORECASE):
            number = next(filter(None, [groups] if isinstance(groups, str) else groups)).lower()
            scale = 10_000 if number.endswith("万") else 1
            found.add((kind, round(float(NUMBER_WORDS.get(number) or number.removesuffix("万")) * scale, 4)))
    return found


def bare_numbers(text: str) -> set[float]:
    """The numbers of `text`, whatever they count: a customer writes `7200` where the desk writes `£7,200`."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    tens_of_thousands = re.findall(rf"({NUMBER})万", text)
    plain = re.findall(rf"{NUMBER}(?!{NUMBER}|万)", text)
    return {float(number) for number in plain} | {float(number) * 10_000 for number in tens_of_thousands}


def unfounded(conversation: dict[str, Any]) -> set[tuple[str, float]]:
    """The figures of the assistant that neither the named articles, nor `computed`, nor an earlier turn has."""
    language = conversation["id"][:2]
    known = {figure for name in conversation["articles"] for figure in figures(ARTICLES[name]["text"][language])}
    known |= figures(" | ".join(conversation.get("computed", [])))
    named: set[float] = set()
    missing = set()
    for turn in turns(conversation):
        if turn["role"] == "user":
            named |= bare_numbers(turn["content"])
        else:
            missing |= {figure for figure in figures(turn["content"]) - known if figure[1] not in named}
        known |= figures(turn["content"])
    return missing


def menus(text: str) -> list[tuple[str, str]]:
    """The places in the app that `text` names, such as (`Cards`, `Freeze`)."""
    return re.findall(r"([A-Z]\w+(?: \w+)?|[\u4e00-\u9fff]+) > ([A-Z]\w+|[\u4e00-\u9fff]+)", text)


def test_ids_are_unique() -> None:
    for entries in (lines("knowledge.jsonl"), TEMPLATES, ALL):
        assert [name for name, count in Counter(entry["id"] for entry in entries).items() if count > 1] == []


def test_the_set_is_large_enough_in_both_languages() -> None:
    assert len(ALL) >= 150
    assert min(map(len, CONVERSATIONS.values())) >= 75


@pytest.mark.parametrize("article", ARTICLES.values(), ids=lambda article: article["id"])
def test_an_article_says_the_same_amounts_in_both_languages(article: dict[str, Any]) -> None:
    assert set(article) == {"id", "topic", "title", "text"}
    assert article["topic"] in TOPICS
    assert set(article["title"]) == set(article["text"]) == set(LANGUAGES)
    assert 60 <= len(article["text"]["en"].split()) <= 120
    english, chinese = (
        {figure for figure in figures(article["text"][language]) if figure[0] in ("money", "percent", "clock")}
        for language in LANGUAGES
    )
    assert english == chinese


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["id"])
def test_a_template_has_the_fields_it_needs(template: dict[str, Any]) -> None:
    assert set(template) == {"id", "intent", "needs", "text", "article", "hand_over"}
    assert template["article"] is None or template["article"] in ARTICLES
    assert isinstance(template["hand_over"], bool)
    for language in LANGUAGES:
        text = template["text"][language]
        assert {field for _, field, _, _ in Formatter().parse(text) if field} == set(template["needs"])
        known = figures(ARTICLES[template["article"]]["text"][language]) if template["article"] else set()
        assert figures(text) <= known


@each_conversation
def test_roles_alternate_and_the_assistant_ends(conversation: dict[str, Any]) -> None:
    assert set(conversation) - {"computed"} == {"id", "topic", "articles", "messages"}
    assert conversation["topic"] in TOPICS
    assert set(conversation["articles"]) <= set(ARTICLES)
    for message in conversation["messages"]:
        assert set(message) == {"role", "content"}
        assert message["content"].strip()
    roles = [message["role"] for message in conversation["messages"]]
    roles = roles[1:] if roles[0] == "system" else roles
    assert 4 <= len(roles) <= 12
    assert roles == ["user", "assistant"] * (len(roles) // 2)


@each_conversation
def test_turns_are_short(conversation: dict[str, Any]) -> None:
    sizes = [(size(turn["content"]), turn["content"]) for turn in turns(conversation)]
    assert max(sizes)[0] <= (60 if conversation["id"].startswith("en") else 110), max(sizes)
    assert sum(length for length, _ in sizes) <= (280 if conversation["id"].startswith("en") else 460)


@each_conversation
def test_the_language_is_the_files(conversation: dict[str, Any]) -> None:
    for message in conversation["messages"]:
        chinese = re.search(r"[\u4e00-\u9fff]", message["content"])
        assert bool(chinese) == conversation["id"].startswith("zh"), message["content"]


@each_conversation
def test_no_long_number_but_the_banks_phones(conversation: dict[str, Any]) -> None:
    for message in conversation["messages"]:
        text = message["content"]
        for phone in PHONES:
            text = text.replace(phone, "")
        assert re.search(r"\d{5}|\d{4}[ -]\d{3}", text) is None, text


@each_conversation
def test_the_assistant_states_only_figures_that_are_known(conversation: dict[str, Any]) -> None:
    assert unfounded(conversation) == set()


def test_a_figure_of_no_article_is_found() -> None:
    asked = {"role": "user", "content": "I have 600. What does a late payment cost?"}
    answered = {"role": "assistant", "content": "It costs £13, at 4 pm. Of your £600 that leaves £587."}
    conversation = {"id": "en-000", "articles": ["credit-card"], "messages": [asked, answered]}
    assert unfounded(conversation) == {("money", 13), ("clock", 4), ("money", 587)}
    assert unfounded(conversation | {"computed": ["£587", "4 pm"]}) == {("money", 13)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_assistant_names_only_menus_that_the_articles_name(language: str) -> None:
    known = {menu for article in ARTICLES.values() for menu in menus(article["text"][language])}
    for conversation in CONVERSATIONS[language]:
        for turn in turns(conversation):
            if turn["role"] == "assistant":
                assert set(menus(turn["content"])) <= known, turn["content"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_exchange_is_repeated(language: str) -> None:
    pairs = Counter(
        (asked["content"], answered["content"])
        for conversation in CONVERSATIONS[language]
        for asked, answered in zip(turns(conversation)[::2], turns(conversation)[1::2], strict=True)
    )
    assert [pair for pair, count in pairs.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_third_have_no_system_prompt_and_the_rest_share_four(language: str) -> None:
    firsts = [conversation["messages"][0] for conversation in CONVERSATIONS[language]]
    prompts = [message["content"] for message in firsts if message["role"] == "system"]
    assert 0.25 <= 1 - len(prompts) / len(firsts) <= 0.42
    assert len(set(prompts)) == 4


def test_the_readme_counts_what_is_there() -> None:
    told = dict(re.findall(r"\| `(\S+\.jsonl)` \| (\d+) \|", (FOLDER / "README.md").read_text("utf-8")))
    assert {name: int(count) for name, count in told.items()} == {
        path.name: len(lines(path.name)) for path in FOLDER.glob("*.jsonl")
    }


def test_every_article_is_talked_about() -> None:
    assert set(ARTICLES) - {name for conversation in ALL for name in conversation["articles"]} == set()


def test_figures_are_found_in_both_languages() -> None:
    assert figures("£1,000 at 6.9% in 3 to 5 working days, two hours, by 4 pm") == {
        *(("money", 1000), ("percent", 6.9), ("working days", 5), ("hours", 2), ("clock", 4)),
    }
    assert figures("2.5万元,年利率6.9%,5个工作日,两小时,下午4点") == {
        *(("money", 25000), ("percent", 6.9), ("working days", 5), ("hours", 2), ("clock", 4)),
    }


@pytest.mark.parametrize("name", ["bank_desk_questions_en", "bank_desk_questions_zh"])
def test_what_customers_say_is_a_row_a_conversation_with_its_topic(name: str) -> None:
    rows = read(name)["train"]
    talks = read(name.replace("questions_", ""), talk=True)["train"]
    assert rows["label"][:] == talks["topic"][:]
    first = next(one["content"] for one in talks[0]["messages"] if one["role"] == "user")
    assert rows["text"][0].startswith(first + "\n")
    answers = [one["content"] for one in talks[0]["messages"] if one["role"] == "assistant"]
    assert not any(answer in rows["text"][0] for answer in answers)
