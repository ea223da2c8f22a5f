"""``sixfold chat CHECKPOINT``: a conversation in the terminal, shown as it is written.

The history is kept as messages and encoded as in training (``tasks/chat_template.py``). What no longer fits into the
model's context is left out from the oldest round on, and said.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sixfold.commands.predict import checkpoint_of
from sixfold.data.conversations import message
from sixfold.errors import SixfoldError, UsageError, unknown
from sixfold.fetch.folders import PRIVATE, write_text
from sixfold.generate.requests import Engine, Finish, Request, Sampling, asked
from sixfold.generate.torch_engine import TorchEngine
from sixfold.models import load
from sixfold.models.head import Head
from sixfold.tasks.chat_template import ChatTemplate, Message
from sixfold.tasks.dialogue import in_rounds

if TYPE_CHECKING:
    from rich.console import Console

ENGINES = ("torch", "fast")
COMMANDS = {
    "/reset": "forget the conversation",
    "/system": "TEXT: instruct the model from now on; without a text, take the instruction back",
    "/retry": "ask the last question again, with other random numbers",
    "/save": "FILE: write the conversation as a line of JSON",
    "/help": "list these",
    "/quit": "leave (as Ctrl-D)",
}


@dataclass
class Spoken:
    """What an answer took."""

    tokens: int = 0
    seconds: float = 0.0
    first: float = 0.0
    finish: Finish | None = None

    def told(self) -> str:
        """A line for a person."""
        rate = self.tokens / self.seconds if self.seconds else 0.0
        ended = {"length": ", cut at its limit", "cancelled": ", stopped"}.get(self.finish or "", "")
        return f"{self.tokens} tokens, {rate:.0f} a second, the first after {self.first:.2f} s{ended}"


@dataclass
class Chat:
    """A conversation with a model.

    Attributes:
        messages: the history, the system prompt first if there is one.
        dropped: rounds that no longer fitted into the last prompt.
    """

    engine: Engine
    template: ChatTemplate
    context: int
    sampling: Sampling
    new_tokens: int = 256
    messages: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0
    asked: int = 0
    last: Spoken = field(default_factory=Spoken)

    @classmethod
    def load(
        cls, checkpoint: str, *, engine: str, sampling: Sampling, new_tokens: int, system: str | None = None
    ) -> Chat:
        """A conversation with a checkpoint.

        Raises:
            UsageError: there is no such engine, or the fast one is not installed.
            ModelError: the checkpoint is no decoder, or has no chat template.
        """
        if engine not in ENGINES:
            raise unknown("engine", engine, ENGINES)
        loaded = load(checkpoint_of(Path(checkpoint)), Head("causal_lm"))
        template = ChatTemplate(loaded.tokenizer)
        context = int(loaded.tokenizer.model_max_length)
        made: Engine = TorchEngine(loaded.model, loaded.tokenizer)
        if engine == "fast":
            made = _fast(loaded, context)
        chat = cls(made, template, context, sampling, new_tokens)
        chat.instruct(system)
        return chat

    def instruct(self, system: str | None) -> None:
        """Set or take back the system prompt; the conversation goes on."""
        rest = [one for one in self.messages if one["role"] != "system"]
        first = [message("system", system)] if system and system.strip() else []
        self.messages = [*first, *rest]

    def reset(self) -> None:
        """Forget everything but the system prompt."""
        self.messages = [one for one in self.messages if one["role"] == "system"]

    def say(self, text: str) -> Iterator[str]:
        """The answer to a text, piece by piece. Leaving the iterator keeps what was said so far.

        Raises:
            UsageError: the text alone is longer than the model reads.
        """
        self.messages.append(message("user", text))
        yield from self._answer()

    def retry(self) -> Iterator[str]:
        """Another answer to the last question.

        Raises:
            UsageError: nothing was asked yet.
        """
        if self.messages and self.messages[-1]["role"] == "assistant":
            self.messages.pop()
        if not self.messages or self.messages[-1]["role"] != "user":
            raise UsageError("there is no question to ask again")
        yield from self._answer()

    def _answer(self) -> Iterator[str]:
        request = self._request()
        self.asked += 1
        self.last = Spoken()
        begun, said = time.perf_counter(), ""
        try:
            with closing(self.engine.stream([request])) as stream:
                for chunk in stream:
                    self.last.seconds = time.perf_counter() - begun
                    self.last.first = self.last.first or self.last.seconds
                    self.last.tokens += len(chunk.ids)
                    self.last.finish = chunk.finish
                    said += chunk.text
                    if chunk.text:
                        yield chunk.text
        finally:
            self.last.finish = self.last.finish or "cancelled"
            if said.strip():
                self.messages.append(message("assistant", said))
            else:
                self.messages.pop()

    def _request(self) -> Request:
        """The next answer's; the oldest rounds are left out where the conversation no longer fits.

        Raises:
            UsageError: the last question alone does not fit.
        """
        head, rounds = in_rounds(self.messages)
        room = self.context - min(self.new_tokens, self.context // 4)
        for first in range(len(rounds)):
            kept: list[Message] = [*head, *(one for turns in rounds[first:] for one in turns)]
            found = asked(self.template, kept, self.new_tokens, self.sampling.of(self.asked))
            if len(found.prompt) <= room:
                self.dropped = first
                return replace(found, new_tokens=min(self.new_tokens, self.context - len(found.prompt)))
        self.messages.pop()
        raise UsageError(
            f"the question is longer than the model reads: {self.context:,} tokens, some of them for the answer",
            hint="shorten it; a document is better asked about part by part",
        )

    def save(self, path: Path) -> None:
        """Write the conversation as one line of JSON, in the form that ``sixfold converse`` reads.

        Raises:
            StorageError: it could not be written.
        """
        kept = [{"role": one["role"], "content": one["content"]} for one in self.messages]
        write_text(path, json.dumps({"messages": kept}, ensure_ascii=False) + "\n", mode=PRIVATE)


def _fast(loaded: Any, context: int) -> Engine:
    """The fast engine on the same weights; the file that it reads is gone when it has read it."""
    from sixfold.generate.fast_engine import FastEngine
    from sixfold.models.export_gguf import export_gguf

    with tempfile.TemporaryDirectory() as folder:
        done = export_gguf(loaded.model, loaded.tokenizer, Path(folder) / "model.gguf", kind="q8_0")
        return FastEngine(done.path, loaded.tokenizer, context=context, exact=False)


def talk(chat: Chat, console: Console, read: Callable[[str], str] = input) -> None:
    """Read lines until the user leaves. Ctrl-C stops an answer, and leaves where none is being written."""
    console.print("Ask, or /help. Ctrl-C stops an answer, Ctrl-D leaves.", style="dim")
    while True:
        try:
            line = read("> ").strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return
        if not line:
            continue
        if line == "/quit":
            return
        try:
            _turn(chat, line, console)
        except SixfoldError as error:
            console.print(str(error), style="yellow", markup=False)


def _turn(chat: Chat, line: str, console: Console) -> None:
    name, _, rest = line.partition(" ")
    if not name.startswith("/"):
        _show(chat, chat.say(line), console)
    elif name == "/retry":
        _show(chat, chat.retry(), console)
    elif name == "/reset":
        chat.reset()
        console.print("forgotten", style="dim")
    elif name == "/system":
        chat.instruct(rest)
        console.print("instructed" if rest.strip() else "no instruction", style="dim")
    elif name == "/save":
        if not rest.strip():
            raise UsageError("/save needs a file", hint="/save talk.jsonl")
        chat.save(Path(rest.strip()).expanduser())
        console.print(f"saved: {rest.strip()}", style="dim", markup=False)
    elif name == "/help":
        for command, what in COMMANDS.items():
            console.print(f"{command} {what}", style="dim", markup=False)
    else:
        raise unknown("command", name, COMMANDS)


def _show(chat: Chat, pieces: Iterator[str], console: Console) -> None:
    with _stopped(pieces):
        for piece in pieces:
            console.print(piece, end="", markup=False, highlight=False, soft_wrap=True)
    console.print()
    left = f"; the oldest {chat.dropped} rounds no longer fit and were left out" if chat.dropped else ""
    console.print(f"[{chat.last.told()}{left}]", style="dim", markup=False)


@contextmanager
def _stopped(pieces: Any) -> Iterator[None]:
    """Ctrl-C ends the answer, not the conversation: what was said so far stays."""
    try:
        yield
    except KeyboardInterrupt:
        pieces.close()
