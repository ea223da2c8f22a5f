"""What both engines are asked and what they give back. Plain data."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol

from sixfold.data.conversations import message
from sixfold.errors import UsageError

if TYPE_CHECKING:
    from sixfold.tasks.chat_template import ChatTemplate, Message

Finish = Literal["stop", "length", "cancelled"]
"""Why a text ended: by a token or string that ends it, at its limit, or since it was told to."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: divides the logits; 0 always takes the likeliest token.
        top_p: only the likeliest tokens that together have this probability (Holtzman et al. 2020,
            arXiv:1904.09751).
        seed: of the first text; each further text has the next one, so that none depends on its batch.
        top_k: only so many of the likeliest tokens; 0 for all.
        min_p: only tokens with this share of the likeliest one's probability (Nguyen et al. 2024, arXiv:2407.01082).
        repetition_penalty: divides positive logits, and multiplies negative ones, of tokens that the prompt or the text
            has (Keskar et al. 2019, arXiv:1909.05858).
        presence_penalty: taken from the logits of tokens that the text has.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0

    def __post_init__(self) -> None:
        for name, good, allowed in (
            ("temperature", 0 <= self.temperature < float("inf"), "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("min_p", 0 <= self.min_p <= 1, "0 to 1"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0"),
        ):
            if not good:
                raise UsageError(f"{name} is {allowed}", found=getattr(self, name))

    @property
    def penalises(self) -> bool:
        return self.repetition_penalty != 1 or self.presence_penalty != 0

    def of(self, place: int) -> Sampling:
        """For the text at a place among several that share these settings."""
        return replace(self, seed=self.seed + place)


@dataclass(frozen=True)
class Grammar:
    """What a text has to be: JSON that fits a schema, or what a regular expression matches. One of the two.

    Raises:
        UsageError: both, or none.
    """

    json_schema: str | None = None
    regex: str | None = None

    def __post_init__(self) -> None:
        if (self.json_schema is None) == (self.regex is None):
            raise UsageError("a text is held to a JSON schema or to a regular expression: name one of them")


@dataclass(frozen=True)
class Request:
    """One text to be written.

    Attributes:
        prompt: token ids that it goes on from.
        new_tokens: at most so many.
        sampling: how tokens are chosen.
        stop: strings that end it; they are not part of it.
        stop_ids: tokens that end it.
        grammar: what it has to be.
        logprobs: whether the tokens' log-probabilities are told (of the model, before temperature and cuts).
        adapter: the adapter that it goes by; None is the base alone.
    """

    prompt: tuple[int, ...]
    new_tokens: int
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    grammar: Grammar | None = None
    logprobs: bool = False
    adapter: str | None = None


@dataclass(frozen=True)
class Chunk:
    """What a request has got since the last chunk.

    Attributes:
        request: its place among the requests.
        text: whole characters; it may be empty while a character, or what may be a stop string, is not done.
        ids: the tokens that were chosen.
        logprobs: of ``ids``, where they were asked for.
        finish: why it ended; None while it goes on. Nothing comes after it.
    """

    request: int
    text: str
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    finish: Finish | None = None


@dataclass(frozen=True)
class Text:
    """One request's whole answer."""

    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish


class Engine(Protocol):
    """Writes texts. ``cancel`` may be called from another thread, and while a stream is open."""

    def stream(self, requests: Sequence[Request]) -> Generator[Chunk]:
        """Chunks as they come, of all requests together; leaving the iterator ends them.

        Raises:
            UsageError: a prompt without a token, or more tokens than the model's context has.
        """
        ...

    def cancel(self, request: int) -> None:
        """End one request of the open stream, before its next token."""
        ...


def asked(
    template: ChatTemplate,
    messages: Sequence[Message],
    new_tokens: int,
    sampling: Sampling | None = None,
    tools: str | None = None,
) -> Request:
    """The request for the assistant's next turn, which ends where the template ends one.

    Raises:
        DataError, ModelError: as ``ChatTemplate.shape``.
    """
    stops = template.shape([*messages, message("assistant", "")], tools).stops
    prompt = tuple(template.prompt(messages, tools))
    return Request(prompt, new_tokens, sampling or Sampling(), stop_ids=tuple(sorted(stops)))


def whole(engine: Engine, requests: Sequence[Request]) -> list[Text]:
    """All texts, when they are done."""
    texts = [""] * len(requests)
    ids: list[list[int]] = [[] for _ in requests]
    logprobs: list[list[float]] = [[] for _ in requests]
    finishes: list[Finish] = ["cancelled"] * len(requests)
    for chunk in engine.stream(requests):
        texts[chunk.request] += chunk.text
        ids[chunk.request] += chunk.ids
        logprobs[chunk.request] += chunk.logprobs
        if chunk.finish is not None:
            finishes[chunk.request] = chunk.finish
    return [Text(*one) for one in zip(texts, map(tuple, ids), map(tuple, logprobs), finishes, strict=True)]


def checked(requests: Sequence[Request], context: int) -> None:
    """Refuse what cannot be written.

    Raises:
        UsageError: as ``Engine.stream``.
    """
    for place, one in enumerate(requests):
        if not one.prompt:
            raise UsageError("a prompt needs a token", where=f"request {place + 1}")
        if one.new_tokens < 1:
            raise UsageError("a text has one new token at least", where=f"request {place + 1}", found=one.new_tokens)
        total = len(one.prompt) + one.new_tokens
        if total > context:
            raise UsageError(
                f"the model reads {context:,} tokens, and {total:,} were asked for",
                where=f"request {place + 1}",
                found=f"{len(one.prompt):,} of the prompt, {one.new_tokens:,} new ones",
                hint="ask for fewer new tokens, or leave out earlier turns",
            )
