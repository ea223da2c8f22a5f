"""Instructions that a program can verify, after IFEval (Zhou et al. 2023, arXiv:2311.07911), short ones only.

A checker sees the form of an answer, not whether it is true or sensible. An empty answer follows nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from sixfold.text.language import language
from sixfold.text.segment import sentences, units, words

Check = Callable[[str], bool]
_MARKS = " \t\n\"'“”‘’「」《》*.。!！?？,，;；:："
_POINT = re.compile(r"(?m)^\s*(\d+)\s*[.)、．）]")
_BULLET = re.compile(r"(?m)^\s*[-*•]\s+\S")
_FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True)
class Instruction:
    """A request and how to tell whether an answer does what it says.

    Attributes:
        language: of the request, ``en`` or ``zh``.
        asks: what kind of form it asks for.
        prompt: the user's turn.
        check: of an answer that is not empty.
    """

    language: str
    asks: str
    prompt: str
    check: Check

    def followed(self, answer: str) -> bool:
        """Whether the answer has the form that was asked for."""
        return bool(answer.strip()) and self.check(answer.strip())


def one_word(answer: str) -> bool:
    """One word, whatever marks stand around it."""
    bare = answer.strip(_MARKS)
    return len(words(bare)) == 1


def one_of(*choices: str) -> Check:
    """Nothing but one of these, marks and case aside."""
    return lambda answer: answer.strip(_MARKS).casefold() in {choice.casefold() for choice in choices}


def characters(count: int) -> Check:
    """So many letters or characters, marks aside."""
    return lambda answer: len(re.sub(r"[\W_]", "", answer)) == count


def capitals(answer: str) -> bool:
    """No small letter."""
    return any(map(str.isupper, answer)) and not any(map(str.islower, answer))


def small_letters(answer: str) -> bool:
    """No capital."""
    return any(map(str.islower, answer)) and not any(map(str.isupper, answer))


def begins(text: str) -> Check:
    """The first characters, quotes aside."""
    return lambda answer: answer.lstrip("\"'“‘「").startswith(text)


def ends(text: str) -> Check:
    """The last characters, quotes aside."""
    return lambda answer: answer.rstrip("\"'”’」").endswith(text)


def points(count: int) -> Check:
    """Points numbered from 1 to ``count``, each on a line of its own."""
    return lambda answer: [int(number) for number in _POINT.findall(answer)] == list(range(1, count + 1))


def bullets(count: int) -> Check:
    """So many lines that begin with a dash, a star or a dot."""
    return lambda answer: len(_BULLET.findall(answer)) == count


def lines(count: int) -> Check:
    """So many lines that are not empty."""
    return lambda answer: sum(bool(line.strip()) for line in answer.splitlines()) == count


def commas(count: int) -> Check:
    """So many parts between commas, none empty, on one line."""

    def check(answer: str) -> bool:
        parts = re.split(r"[,，、]", answer)
        return "\n" not in answer and len(parts) == count and all(part.strip(_MARKS) for part in parts)

    return check


def json_keys(*keys: str) -> Check:
    """A JSON object with exactly these keys; a fence around it is allowed."""

    def check(answer: str) -> bool:
        found = _parsed(answer)
        return isinstance(found, dict) and set(found) == set(keys)

    return check


def json_list(count: int) -> Check:
    """A JSON list of so many strings; a fence around it is allowed."""

    def check(answer: str) -> bool:
        found = _parsed(answer)
        return isinstance(found, list) and len(found) == count and all(isinstance(one, str) for one in found)

    return check


def _parsed(answer: str) -> object:
    """What the JSON says; None where it is none."""
    fenced = _FENCE.fullmatch(answer)
    try:
        return json.loads(fenced[1] if fenced else answer)
    except ValueError:
        return None


def at_most(count: int) -> Check:
    """Words, where a Chinese character counts as one."""
    return lambda answer: units(answer) <= count


def at_least(count: int) -> Check:
    """Words, where a Chinese character counts as one."""
    return lambda answer: units(answer) >= count


def sentence_count(count: int) -> Check:
    """So many sentences."""
    return lambda answer: len(sentences(answer)) == count


def contains(*texts: str) -> Check:
    """All of these, in any case."""
    return lambda answer: all(_stands(text, answer) for text in texts)


def without(*texts: str) -> Check:
    """None of these, in any case; at least three words, or saying nothing would do."""
    return lambda answer: units(answer) >= 3 and not any(_stands(text, answer) for text in texts)


def without_marks(marks: str) -> Check:
    """None of these marks; at least three words."""
    return lambda answer: units(answer) >= 3 and not any(mark in answer for mark in marks)


def number(low: int, high: int) -> Check:
    """Nothing but a number between the two."""
    return lambda answer: (
        _NUMBER.fullmatch(answer.strip(_MARKS)) is not None and low <= int(answer.strip(_MARKS)) <= high
    )


def in_language(name: str) -> Check:
    """Written in that language, by its script."""
    return lambda answer: language(answer) == name


def times(text: str, count: int) -> Check:
    """A word, exactly so often."""
    return lambda answer: len(_found(text, answer)) == count


def both(*checks: Check) -> Check:
    """All of them."""
    return lambda answer: all(check(answer) for check in checks)


def _stands(text: str, answer: str) -> bool:
    return bool(_found(text, answer))


def _found(text: str, answer: str) -> list[str]:
    """Where a text stands: a word of letters as a whole word, anything else anywhere."""
    edge = r"\b" if text.isascii() and text[0].isalnum() and text[-1].isalnum() else ""
    return re.findall(f"{edge}{re.escape(text)}{edge}", answer, re.IGNORECASE)


_ENGLISH: tuple[tuple[str, str, Check], ...] = (
    ("one word", "What is the opposite of cold? Answer with one word only.", one_word),
    ("one word", "Which animal barks? Reply with a single word.", one_word),
    ("choice", "Is ice cold? Answer only yes or no.", one_of("yes", "no")),
    ("choice", "Is an ant bigger than a horse? Answer only with true or false.", one_of("true", "false")),
    ("choice", "Which is sweeter, sugar or salt? Answer with exactly one of: sugar, salt.", one_of("sugar", "salt")),
    ("capitals", "Say good morning to a friend in capital letters only.", capitals),
    ("capitals", "Name a fruit. WRITE YOUR WHOLE ANSWER IN CAPITALS.", capitals),
    ("small letters", "Describe the sky in one sentence, without any capital letter.", small_letters),
    ("beginning", 'Describe a garden in one sentence that begins with "In spring".', begins("In spring")),
    ("beginning", 'Greet a guest. Your answer must begin with the word "Welcome".', begins("Welcome")),
    ("end", 'Write one sentence about the sea that ends with the words "and so it goes."', ends("and so it goes.")),
    ("end", "Ask me something about my day. Your answer must end with a question mark.", ends("?")),
    ("points", "Give three tips for sleeping well as a list numbered 1., 2., 3.", points(3)),
    ("points", "List two things to take to a picnic, numbered 1. and 2.", points(2)),
    ("bullets", "Name three colours as a list in which every line begins with a dash (-).", bullets(3)),
    ("lines", "Write a poem about rain in exactly two lines.", lines(2)),
    ("commas", "Name four vegetables, separated by commas, and write nothing else.", commas(4)),
    (
        "JSON",
        'Describe a dog as a JSON object with the keys "name" and "age". Write only the JSON.',
        json_keys("name", "age"),
    ),
    (
        "JSON",
        'Give the weather as a JSON object with the keys "sky", "wind" and "rain". Write only the JSON.',
        json_keys("sky", "wind", "rain"),
    ),
    ("JSON", "Write a JSON list of three names of flowers, and nothing else.", json_list(3)),
    ("at most", "What is a bridge for? Answer in at most ten words.", at_most(10)),
    ("at most", "Explain what rain is in no more than fifteen words.", at_most(15)),
    ("at least", "Describe a forest in at least thirty words.", at_least(30)),
    ("sentences", "Tell me about bread in exactly two sentences.", sentence_count(2)),
    (
        "contains",
        'Write a sentence about winter that contains the words "snow" and "lamp".',
        contains("snow", "lamp"),
    ),
    ("contains", 'Thank a neighbour. Use the word "ladder".', contains("ladder")),
    ("leaves out", 'Describe the summer in one sentence without using the word "sun".', without("sun")),
    ("leaves out", "Write a sentence about a cat without any comma.", without_marks(",")),
    ("number", "How many days does a week have? Answer only with a number in digits.", number(0, 10_000)),
    ("number", "Choose a number between 10 and 20 and write nothing but this number in digits.", number(10, 20)),
    ("other language", "Say hello to a friend in Chinese. Write only Chinese.", in_language("zh")),
    ("other language", "Translate into Chinese, without any explanation: I like tea.", in_language("zh")),
    ("times", 'Write one sentence in which the word "very" stands exactly twice.', times("very", 2)),
    (
        "two at once",
        'Name a city in at most eight words, and begin with "Maybe".',
        both(at_most(8), begins("Maybe")),
    ),
)

_CHINESE: tuple[tuple[str, str, Check], ...] = (
    ("one word", "“冷”的反义词是什么？只回答一个词。", one_word),
    ("one word", "哪种动物会汪汪叫？只用一个词回答。", one_word),
    ("characters", "用恰好四个字形容春天，不要写别的。", both(characters(4), in_language("zh"))),
    ("characters", "天空是什么颜色？只回答两个字。", both(characters(2), in_language("zh"))),
    ("choice", "冰是冷的吗？只回答“是”或“不是”。", one_of("是", "不是")),
    ("choice", "蚂蚁比马大吗？只回答“对”或“错”。", one_of("对", "错")),
    ("choice", "糖和盐哪个更甜？只回答“糖”或“盐”。", one_of("糖", "盐")),
    ("beginning", "用一句话描写花园，以“春天里”开头。", begins("春天里")),
    ("beginning", "欢迎一位客人，回答必须以“欢迎”开头。", begins("欢迎")),
    ("end", "写一句关于大海的话，以“就是这样。”结尾。", ends("就是这样。")),
    ("end", "问我一个关于今天的问题，回答必须以问号结尾。", lambda answer: ends("？")(answer) or ends("?")(answer)),
    ("points", "给出三条睡个好觉的建议，用1.、2.、3.编号，每条一行。", points(3)),
    ("points", "列出两样野餐要带的东西，用1.和2.编号，每条一行。", points(2)),
    ("bullets", "列出三种颜色，每行以短横线（-）开头。", bullets(3)),
    ("lines", "写一首关于雨的小诗，恰好两行。", lines(2)),
    ("commas", "写出四种蔬菜，用顿号隔开，不要写别的。", commas(4)),
    ("JSON", '用JSON对象描述一只狗，键为"name"和"age"。只写JSON。', json_keys("name", "age")),
    ("JSON", "用JSON对象写出天气，键为“天空”“风”“雨”。只写JSON。", json_keys("天空", "风", "雨")),
    ("JSON", "写一个JSON列表，里面是三种花的名字，不要写别的。", json_list(3)),
    ("at most", "桥有什么用？用不超过十五个字回答。", at_most(15)),
    ("at most", "用不超过二十五个字解释什么是雨。", at_most(25)),
    ("at least", "用至少四十个字描写一片森林。", at_least(40)),
    ("sentences", "用恰好两句话介绍面包。", sentence_count(2)),
    ("contains", "写一句关于冬天的话，要有“雪”和“灯”这两个字。", contains("雪", "灯")),
    ("contains", "感谢一位邻居，要用到“梯子”这个词。", contains("梯子")),
    ("leaves out", "用一句话描写夏天，不要出现“热”字。", without("热")),
    ("leaves out", "写一句关于猫的话，不要用逗号。", without_marks(",，")),
    ("number", "一个星期有几天？只用阿拉伯数字回答。", number(0, 10_000)),
    ("number", "在10和20之间选一个数，只写这个数，用阿拉伯数字。", number(10, 20)),
    ("other language", "用英语向朋友问好，只写英语。", in_language("en")),
    ("other language", "翻译成英语，不要解释：我喜欢喝茶。", in_language("en")),
    ("times", "写一句话，让“很”字恰好出现两次。", times("很", 2)),
    ("two at once", "推荐一座城市，不超过十个字，并以“也许”开头。", both(at_most(10), begins("也许"))),
)

INSTRUCTIONS = tuple(
    Instruction(language, asks, prompt, check)
    for language, asked in (("en", _ENGLISH), ("zh", _CHINESE))
    for asks, prompt, check in asked
)
