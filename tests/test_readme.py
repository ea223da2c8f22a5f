"""The README's code runs, and what README and docs name (commands, flags, files, headings) is there.

That tables of the docs agree with the code: ``test_docs.py``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_encoder
from tiny_runs import environment, reviews, write_csv
from typer.main import get_command

from sixfold.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs").glob("*.ipynb"))]
NEW = 7
NOT_RUN = ["make demo", "source .venv/bin/activate", "sixfold models pull minilm-l6"]

_BLOCK = re.compile(r"(?:^<!-- not run by tests: (.+?) -->\n)?^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its code, and why the tests do not run it."""

    language: str
    code: str
    not_run: str


def text_of(page: Path) -> str:
    """A page's Markdown; a notebook's cells, code cells as blocks."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(text)["cells"]]
    return "\n\n".join(source if kind == "markdown" else f"```python\n{source}\n```" for kind, source in cells)


def blocks(text: str) -> list[Block]:
    return [Block(language, code, reason) for reason, language, code in _BLOCK.findall(text)]


def code_lines(text: str) -> list[str]:
    """Every line of code in a page: of fenced blocks, indented ones, and spans in the text."""
    inside = [line for block in blocks(text) for line in block.code.splitlines()]
    prose = _BLOCK.sub("", text)
    indented = [line.strip() for line in prose.splitlines() if line.startswith("    ")]
    return [*inside, *indented, *_SPAN.findall(prose)]


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a csv as the README describes it, and a tiny model in the base's place (a folder wins over a
    catalogue name)."""
    stars = {"good": "5", "bad": "1"}
    rows = [{"review": row["text"], "stars": stars[row["label"]]} for row in reviews(120)]
    write_csv(tmp_path / "reviews.csv", rows)
    write_csv(tmp_path / "new.csv", [{"review": row["review"]} for row in rows[:NEW]])
    tiny_encoder(tmp_path / "minilm-l6")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIXFOLD_HOME", str(tmp_path / "home"))
    return tmp_path


def test_only_what_needs_a_registry_or_the_user_s_shell_is_not_run() -> None:
    told = [block for block in blocks(README.read_text("utf-8")) if block.language in ("bash", "python")]
    assert [block.code.strip() for block in told if block.not_run] == NOT_RUN
    assert [block.language for block in told if not block.not_run] == ["bash", "python"]


def test_the_readme_s_commands_run(newcomer: Path) -> None:
    (told,) = (one for one in blocks(README.read_text("utf-8")) if one.language == "bash" and not one.not_run)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", told.code],
        cwd=newcomer,
        env={**environment(), "PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (newcomer / "runs/reviews/report.html").is_file()
    answers = [json.loads(line) for line in (newcomer / "answers.jsonl").read_text("utf-8").splitlines()]
    assert [answer["label"] in ("1", "5") for answer in answers] == [True] * NEW


def test_the_readme_s_python_runs(newcomer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = [block for block in blocks(README.read_text("utf-8")) if block.language == "python"]
    exec(compile(told.code, str(README), "exec"), {})
    *_, report, first, second = capsys.readouterr().out.splitlines()
    assert report == str(Path("runs/from-python/report.html"))
    assert Path(report).is_file()
    assert {first.split()[0], second.split()[0]} <= {"1", "5"}


def flags_of(command: Any) -> set[str]:
    flags = (flag for one in command.params for flag in (*one.opts, *one.secondary_opts))
    return {flag for flag in flags if flag.startswith("--")} | {"--help"}


def commands() -> dict[tuple[str, ...], set[str]]:
    """Every command of the command line, with its flags: ``("models", "pull")`` and the like."""
    found = {}
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inside = getattr(command, "commands", {})
        if not inside or command.invoke_without_command:
            found[(name,)] = flags_of(command)
        for inner, below in inside.items():
            found[(name, inner)] = flags_of(below)
    return found


def named() -> Iterator[tuple[str, tuple[str, ...], list[str]]]:
    """(page, command, flags) for every ``sixfold ...`` in the code of the pages."""
    known = commands()
    for page in PAGES:
        for line in code_lines(text_of(page)):
            for part in re.findall(r"(?:^|[\s/`$])sixfold ([a-z-][^|#`]*)", line):
                words = tuple(shlex.split(part.replace("'", "")))
                pair = words[:2]
                command = pair if pair in known else words[:1]
                yield page.name, command, _FLAG.findall(part)


def test_every_command_and_its_flags_named_in_the_pages_exist() -> None:
    known = {**commands(), ("--help",): {"--help"}}
    told = list(named())
    assert {command for _, command, _ in told} >= set(commands())
    assert not [(page, *command) for page, command, _ in told if command not in known]
    assert not [(page, *command, flag) for page, command, flags in told for flag in flags if flag not in known[command]]


def test_a_flag_named_alone_exists_in_some_command() -> None:
    known = set().union(*commands().values())
    spans = [(page.name, line) for page in PAGES for line in code_lines(text_of(page)) if line.startswith("--")]
    assert {"--yes", "--split"} <= {flag for _, line in spans for flag in _FLAG.findall(line)}
    assert not [(name, line) for name, line in spans if not known >= set(_FLAG.findall(line))]


def test_the_readme_has_every_command() -> None:
    table = README.read_text("utf-8").partition("## Commands")[2].partition("## ")[0]
    told = {command for command in commands() if f"`sixfold {' '.join(command)}" in table}
    assert told == set(commands())


def test_every_make_target_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = {target for page in PAGES for line in code_lines(text_of(page)) for target in _target(line)}
    assert "demo" in targets
    assert not [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


def _target(line: str) -> list[str]:
    return re.findall(r"^make ([\w-]+)", line)


def anchors(text: str) -> set[str]:
    """Headings as a link names them: lower case, blanks as dashes, marks left out."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(text_of(page)):
        if "://" in link:
            continue
        name, _, heading = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (heading and heading not in anchors(text_of(target))):
            broken.append(link)
    assert not broken


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in _LINK.findall(README.read_text("utf-8"))}
    assert not [page.name for page in PAGES if page.parent.name == "docs" and page not in linked]
