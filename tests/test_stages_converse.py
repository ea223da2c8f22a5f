"""The converse stage from files to report, on a tiny decoder."""

import json

import pytest
import torch
from chat_templates import CHATML_END, SMOLLM, tokenizer
from test_tasks_dialogue import tiny
from typer.testing import CliRunner

from sixfold.cli import app
from sixfold.errors import ModelError, UsageError
from sixfold.models import load
from sixfold.models.head import Head
from sixfold.recipe import Told, parse, run
from sixfold.safety.row_losses import row_losses
from sixfold.score.scorer import Scorer
from sixfold.stages.context import Context
from sixfold.stages.converse import Config, prepare
from sixfold.stages.rows import DataConfig, prepare_rows
from sixfold.tasks.dialogue import Dialogue

WORDS = ("card", "loan", "fee", "rate", "app", "desk", "form", "date")
QUICK = {"epochs": 8, "batch": 8, "learning_rate": 1e-2, "precision": "fp32"}
LITTLE = {"ranked": 10, "generated": 6, "new_tokens": 12, "probes": False}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    found = tokenizer()
    model = tiny(len(found))
    model.config.eos_token_id = model.config.pad_token_id = found.eos_token_id
    model.save_pretrained(folder)
    found.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def talks(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "talks.jsonl"
    lines = []
    for number in range(48):
        word = WORDS[number % 8]
        turns = [f"my {word} {number}?", f"the {word}.", "sure?", "yes."]
        messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]
        lines.append(json.dumps({"messages": messages}))
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    lines = [
        json.dumps({"prompt": f"my {WORDS[n % 8]} {n}?", "chosen": f"the {WORDS[n % 8]}.", "rejected": "go away!"})
        for n in range(40)
    ]
    path.write_text("\n".join(lines))
    return path


def stage(source, base, **changes):
    config = {"base": str(base), "data": {"source": str(source)}, "train": QUICK, "evaluation": LITTLE, **changes}
    return parse({"name": "small", "seed": 5, "stages": [{"converse": config}]})


def results_of(done):
    return done.stages[-1].results


@pytest.fixture(scope="module")
def tuned(base, talks, tmp_path_factory):
    lines = []
    done = run(stage(talks, base), runs=tmp_path_factory.mktemp("runs"), told=Told(lines.append))
    return done, lines


def test_answers_are_learnt_and_measured_before_and_after(tuned):
    done, lines = tuned
    found = results_of(done)
    before, after = (
        side["test"]["metrics"]["loss"]["value"] for side in (found["before"]["evaluations"], found["evaluations"])
    )
    assert after < before - 1
    assert found["proof"]["turns"] == 2 * found["proof"]["conversations"]
    assert found["proof"]["stops"] == ("<|im_end|>",)
    assert any("masks proved" in line for line in lines)
    assert {"stop_rate", "distinct_1"} <= set(found["dialogue"]["metrics"])
    sample = found["samples"][0]
    assert {"messages", "truth", "before", "after"} == set(sample)


def test_training_conversations_are_masked_and_held_out_ones_measured_both_ways(base, talks, tmp_path):
    source = tmp_path / "private.jsonl"
    lines = [line.replace("my ", "call 13800138000, my ") for line in talks.read_text().splitlines()]
    source.write_text("\n".join(lines))
    train = {**QUICK, "epochs": 1}
    done = run(stage(source, base, data={"source": str(source), "mask": True}, train=train), runs=tmp_path, told=Told())
    masked = results_of(done)["data"]["masked"]
    assert masked["types"] == {"phone": masked["rows"]}
    assert masked["rows"] == masked["of"]
    both = {(one["split"], one["masked"]["name"]) for one in masked["scores"]}
    assert {("validation", "loss"), ("test", "perplexity")} <= both
    assert "Held-out rows masked" in (done.folder / "report.html").read_text()


def test_pairs_are_masked_on_both_sides(base, pairs, tmp_path):
    source = tmp_path / "private.jsonl"
    source.write_text(pairs.read_text().replace("the ", "ask a@corp.org, the "))
    config = Config(base=str(base), objective="preference", data={"source": str(source), "mask": True})
    found = prepare(config, Context(folder=tmp_path / "stage", seed=5)).rows["train"]
    assert not any("corp.org" in text for text in found["chosen"])
    assert all("@example.com" in text for text in found["chosen"])
    assert set(found["rejected"]) == {"go away!"}


def test_a_tuned_model_ends_its_answers(tuned):
    assert results_of(tuned[0])["dialogue"]["metrics"]["stop_rate"]["value"] == 1.0


def test_the_report_shows_samples_side_by_side(tuned):
    page = (tuned[0].folder / "report.html").read_text(encoding="utf-8")
    for what in ("What it answers", "What stood there", "Answers in them, learnt whole", "Before"):
        assert what in page


def test_the_checkpoint_ends_where_it_learnt_to(tuned):
    loaded = load(tuned[0].checkpoint, Head("causal_lm"))
    assert loaded.model.generation_config.eos_token_id == [loaded.tokenizer.eos_token_id]
    assert loaded.tokenizer.chat_template == SMOLLM


def test_a_finished_stage_is_skipped(tuned, base, talks):
    lines = []
    run(stage(talks, base), runs=tuned[0].folder.parent, told=Told(lines.append))
    assert any("skipped" in line or "done" in line for line in lines)
    assert not any("step 1 of" in line for line in lines)


def test_low_rank_updates_learn_are_merged_and_kept_alone(base, talks, tmp_path):
    done = run(stage(talks, base, lora={"rank": 4}, train={**QUICK, "epochs": 2}), runs=tmp_path, told=Told())
    found = results_of(done)
    assert 0 < found["learning"] < found["parameters"]
    adapter = done.checkpoint.parent / "adapter"
    assert json.loads((adapter / "adapter_config.json").read_text())["r"] == 4
    from sixfold.models import adapters

    loaded = load(base, Head("causal_lm"))
    again = loaded.model
    adapters.load(again, adapter, base_digest=loaded.digest)
    adapters.merge(again)
    merged = load(done.checkpoint, Head("causal_lm")).model
    import torch

    for (name, one), (_, two) in zip(again.state_dict().items(), merged.state_dict().items(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6, msg=name)


def test_updates_get_ten_times_the_rate(base, talks, tmp_path):
    lines = []
    train = {"epochs": 0.2, "batch": 8, "precision": "fp32"}
    run(stage(talks, base, lora={}, train=train), runs=tmp_path, told=Told(lines.append))
    assert any("10 times that of a whole model" in line for line in lines)


def test_the_better_answer_becomes_likelier(base, pairs, tmp_path):
    done = run(stage(pairs, base, objective="preference", train={**QUICK, "epochs": 4}), runs=tmp_path, told=Told())
    found = results_of(done)
    assert found["evaluations"]["test"]["metrics"]["accuracy"]["value"] == 1.0
    assert (
        found["evaluations"]["test"]["metrics"]["margin"]["value"]
        > found["before"]["evaluations"]["test"]["metrics"]["margin"]["value"] + 0.1
    )
    assert "reward accuracy" in (done.folder / "report.html").read_text(encoding="utf-8")


def test_a_corpus_of_conversations_that_are_all_too_long_trains(base, tmp_path):
    path = tmp_path / "long.jsonl"
    lines = []
    for number in range(24):
        turns = [text for turn in range(12) for text in (f"what of {number} and {turn}?", f"the answer {turn}.")]
        messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]
        lines.append(json.dumps({"messages": [{"role": "system", "content": "Be brief."}, *messages]}))
    path.write_text("\n".join(lines))
    told = []
    done = run(
        stage(path, base, context=200, train={**QUICK, "epochs": 1}), runs=tmp_path / "runs", told=Told(told.append)
    )
    cut = results_of(done)["data"]["cut"]
    assert cut["rows"] == 24
    assert cut["tokens"] == 0
    assert any("split into" in line for line in told)
    with pytest.raises(Exception, match="longer than the limit of"):
        run(stage(path, base, context=200, on_long="error"), runs=tmp_path / "other", told=Told())


def test_one_conversation_is_never_in_two_splits(base, tmp_path):
    """Parts of one conversation, and conversations that begin alike, as trees of answers have them."""
    path = tmp_path / "tree.jsonl"
    rows = []
    for number in range(40):
        for answer in ("a.", "b.", "c."):
            rows.append(
                {"conversations": [{"from": "human", "value": f"root {number}?"}, {"from": "gpt", "value": answer}]}
            )
    path.write_text("\n".join(json.dumps(row) for row in rows))
    from sixfold.stages import converse
    from sixfold.stages.context import Context

    config = converse.Config(base=str(base), data={"source": str(path)})
    prepared = converse.prepare(config, Context(tmp_path, 5))
    first = {split: {one[0]["content"] for one in part["messages"]} for split, part in prepared.rows.items()}
    assert set(first) == {"train", "validation", "test"}
    assert not first["train"] & first["test"]
    assert not first["train"] & first["validation"]
    assert sum(map(len, prepared.rows.values())) == 120


def test_a_template_that_cannot_be_proved_stops_before_training(talks, tmp_path):
    found = tokenizer(SMOLLM.replace("<|im_end|>", "</turn>"), CHATML_END)
    model = tiny(len(found))
    model.save_pretrained(tmp_path / "base")
    found.save_pretrained(tmp_path / "base")
    lines = []
    with pytest.raises(ModelError, match="would never stop"):
        run(stage(talks, tmp_path / "base"), runs=tmp_path / "runs", told=Told(lines.append))
    assert not any("step 1" in line for line in lines)
    done = run(
        stage(talks, tmp_path / "base", template="chatml", train={**QUICK, "epochs": 1}),
        runs=tmp_path / "runs",
        told=Told(),
    )
    assert load(done.checkpoint, Head("causal_lm")).tokenizer.chat_template != SMOLLM


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"beta": 0.5}, "beta would do nothing"),
        ({"train": {"mixup": 0.2}}, "mixup"),
        ({"train": {"metric": "f1"}}, "no metric 'f1'"),
        ({"context": 9000}, "reads 2,048 tokens at most"),
        ({"lora": {"targets": ["nothing"]}}, "no linear layers"),
    ],
)
def test_keys_that_do_not_fit_are_refused(base, talks, tmp_path, changes, what):
    with pytest.raises((UsageError, ModelError), match=what):
        run(stage(talks, base, **changes), runs=tmp_path, told=Told())


def test_pairs_that_are_equal_are_told(base, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"prompt": f"q {n}?", "chosen": "same", "rejected": "same" if n == 3 else "other"})
            for n in range(40)
        )
    )
    with pytest.raises(Exception, match="chosen and rejected are the same"):
        run(stage(path, base, objective="preference"), runs=tmp_path / "runs", told=Told())


def test_the_commands(base, talks, tmp_path):
    runner = CliRunner()
    seen = runner.invoke(app, ["check", str(talks), "--task", "dialogue", "--base", str(base)])
    assert seen.exit_code == 0, seen.output
    assert "masks proved on 48 conversations" in seen.output
    args = ["converse", str(talks), "--base", str(base), "--lora", "--name", "desk", "--runs", str(tmp_path)]
    for key, value in {
        **{f"train.{k}": v for k, v in QUICK.items()},
        "train.epochs": 1,
        **{f"evaluation.{k}": v for k, v in LITTLE.items()},
    }.items():
        args += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    done = runner.invoke(app, args)
    assert done.exit_code == 0, done.output
    out = runner.invoke(app, ["export", str(tmp_path / "desk"), "--to", "gguf", "--kind", "q8_0"])
    assert out.exit_code == 0, out.output
    assert list(tmp_path.rglob("*-q8_0.gguf"))
    talk = runner.invoke(app, ["chat", str(tmp_path / "desk"), "--new-tokens", "8"], input="my card?\n/quit\n")
    assert talk.exit_code == 0, talk.output
    assert "tokens" in talk.output


def test_an_audit_of_conversations_can_say_no(tuned, tmp_path):
    from sixfold.errors import GateError

    audit = {
        "base": str(tuned[0].checkpoint),
        "attacked": 6,
        "probed": 8,
        "gates": ["stop_rate >= 0.2", "refusal_rate >= 0.9"],
    }
    recipe = parse({"name": "audit", "seed": 5, "stages": [{"audit": audit}]})
    with pytest.raises(GateError, match="refusal_rate"):
        run(recipe, runs=tmp_path, told=Told())
    (found,) = tmp_path.rglob("audit.json")
    told = json.loads(found.read_text())
    assert [gate["passed"] for gate in told["gates"]] == [True, False]
    assert {"harmful_output_rate", "over_refusal_rate", "consistency", "loss"} <= set(told["metrics"])
    assert {"fairness", "robustness"} <= set(told["missing"])
    card = (found.parent / "README.md").read_text()
    assert "answers in a conversation" in card
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "Coherence, creativity, safety" in page
    wrong = parse({"name": "wrong", "seed": 5, "stages": [{"audit": {**audit, "gates": ["refusal_rat >= 0.9"]}}]})
    with pytest.raises(UsageError, match="refusal_rat"):
        run(wrong, runs=tmp_path, told=Told())


def test_training_conversations_are_told_from_others_by_their_loss_and_against_the_base(tuned, talks, base, tmp_path):
    audit = {
        "base": str(tuned[0].checkpoint),
        "data": {"source": str(talks), "split": {"test": 0.4}},
        "reference": str(base),
        "attacked": 2,
        "probed": 40,
        "gates": ["membership_auc < 1.01"],
    }
    recipe = parse({"name": "audit", "seed": 5, "stages": [{"audit": audit}]})
    found = results_of(run(recipe, runs=tmp_path, told=Told()))
    attacks = found["parts"]["leakage"]["membership"]["attacks"]
    assert [one["attack"] for one in attacks] == ["loss", "loss against a reference"]
    task = Dialogue()
    read = load(tuned[0].checkpoint, Head("causal_lm"))
    rows = prepare_rows(DataConfig(**audit["data"], group="thread"), task.columns, seed=5).rows
    assert attacks[0]["others"] == len(rows["test"])
    examples = task.encode(rows["test"].select([0]), read.tokenizer, 10_000, "error").examples
    flat = torch.tensor(examples.ragged("input_ids")[0].astype(int))[None]
    logits = read.model(flat).logits[0, :-1].log_softmax(-1)
    learnt = examples.ragged("learnt")[0][1:].astype(bool)
    direct = -logits[torch.arange(len(learnt)), flat[0, 1:]][torch.tensor(learnt)].mean()
    loss = row_losses(task, Scorer(read.model), examples)
    assert loss == pytest.approx([direct.item()], rel=1e-4)
