"""The torch engine: choices, stops, streams, grammars, cancellation."""

import json
import re
from dataclasses import replace

import pytest
import torch
from chat_templates import tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tasks_dialogue import tiny

from sixfold.data.examples import Examples, Ragged
from sixfold.errors import UsageError
from sixfold.generate.engine import Generator
from sixfold.generate.fast_engine import FastEngine
from sixfold.generate.requests import Grammar, Request, Sampling, whole
from sixfold.generate.sampling import chosen
from sixfold.generate.streaming import TextStream
from sixfold.generate.torch_engine import TorchEngine
from sixfold.models.mixed import LowRank, Mixed
from sixfold.tasks.contract import Limits

FOUND = tokenizer()


def ids(text):
    return tuple(FOUND(text, add_special_tokens=False)["input_ids"])


@pytest.fixture(scope="module")
def engine():
    return TorchEngine(tiny(len(FOUND)), FOUND)


def test_a_stream_gives_the_text_of_its_tokens(engine):
    requests = [Request(ids("Hello"), 20), Request(ids("Good day to you"), 12)]
    done = whole(engine, requests)
    for one, request in zip(done, requests, strict=True):
        assert len(one.ids) == request.new_tokens
        assert one.finish == "length"
        assert one.text == FOUND.decode(list(one.ids), skip_special_tokens=True).rstrip("�") or "�" in one.text


def test_requests_of_one_batch_have_their_own_settings(engine):
    hot, cold = Sampling(temperature=1.5, seed=4), Sampling()
    together = whole(engine, [Request(ids("Hello"), 9, hot), Request(ids("Bye"), 9, cold), Request(ids("Hi"), 5, hot)])
    alone = [
        whole(engine, [Request(ids(text), new, how)])[0]
        for text, new, how in (("Hello", 9, hot), ("Bye", 9, cold), ("Hi", 5, hot))
    ]
    assert together == alone


def test_log_probabilities_are_the_models(engine):
    (one,) = whole(engine, [Request(ids("Hello"), 6, Sampling(temperature=0.7, top_k=3, seed=1), logprobs=True)])
    context = list(ids("Hello"))
    for token, told in zip(one.ids, one.logprobs, strict=True):
        with torch.no_grad():
            logits = engine.model(input_ids=torch.tensor([context])).logits[0, -1]
        assert told == pytest.approx(float(logits.log_softmax(-1)[token]), abs=1e-4)
        context.append(token)


def test_a_stop_string_across_tokens_ends_the_text_and_is_no_part_of_it(engine):
    (free,) = whole(engine, [Request(ids("Hello"), 30)])
    stop = free.text[4:7]
    first = free.text.find(stop)
    (one,) = whole(engine, [Request(ids("Hello"), 30, stop=(stop,))])
    assert (one.text, one.finish) == (free.text[:first], "stop")
    shown = "".join(chunk.text for chunk in engine.stream([Request(ids("Hello"), 30, stop=("never said",))]))
    assert shown == free.text


def test_texts_of_different_adapters_are_written_together_as_alone():
    def adapter(seed, rank):
        made = {}
        for path, layer in engine_base.named_modules():
            if isinstance(layer, torch.nn.Linear) and "layers" in path:
                random = torch.Generator().manual_seed(seed + len(path))
                a, b = (
                    torch.randn(*shape, generator=random)
                    for shape in ((rank, layer.in_features), (layer.out_features, rank))
                )
                made[path] = (a, b, 0.2)
        return LowRank(made)

    def alone(request):
        model = tiny(len(FOUND))
        with torch.no_grad():
            for path, (a, b, scale) in (found[request.adapter].updates if request.adapter else {}).items():
                model.get_submodule(path).weight += scale * b @ a
        return whole(TorchEngine(model, FOUND), [replace(request, adapter=None)])[0]

    engine_base = tiny(len(FOUND))
    found = {"bank": adapter(1, 2), "shop": adapter(2, 3), "idle": adapter(3, 1)}
    mixed = TorchEngine(Mixed(engine_base, found), FOUND)
    texts = ("Hello", "Good day to you", "Bye", "Where is my card?", "Hi")
    names = ("shop", None, "bank", "shop", None)
    requests = [
        Request(ids(text), 5 + 3 * place, adapter=name)
        for place, (text, name) in enumerate(zip(texts, names, strict=True))
    ]
    together = whole(mixed, requests)
    assert [one.ids for one in together] == [alone(request).ids for request in requests]
    assert (
        len({one.ids[:3] for one in whole(mixed, [Request(ids("Hello"), 9, adapter=name) for name in (None, *found)])})
        == 4
    )
    examples = Examples({"input_ids": Ragged.of([ids(text) for text in texts]), "adapter": mixed.mixed.numbers(names)})
    generator = Generator(mixed.mixed)
    assert generator.generate(examples, Limits(5)) == [list(one.ids[:5]) for one in together]
    first = next(mixed.stream([Request(ids("Hello"), 3, adapter="bank")]))
    assert first.ids, "an open stream leaves no layout behind"
    (after,) = whole(mixed, [Request(ids("Hello"), 9)])
    assert after == whole(TorchEngine(tiny(len(FOUND)), FOUND), [Request(ids("Hello"), 9)])[0]


def test_an_adapter_that_is_not_there_is_refused(engine):
    with pytest.raises(UsageError, match="has no adapters") as caught:
        list(engine.stream([Request(ids("Hi"), 5), Request(ids("Hi"), 5, adapter="bank")]))
    assert (caught.value.where, caught.value.found) == ("request 2", "bank")
    mixed = TorchEngine(Mixed(tiny(len(FOUND)), {"bank": LowRank({})}), FOUND)
    with pytest.raises(UsageError, match="no adapter 'bnak'") as caught:
        list(mixed.stream([Request(ids("Hi"), 5, adapter="bnak")]))
    assert caught.value.nearest == "bank"


def test_the_fast_engine_refuses_adapters():
    fast = FastEngine.__new__(FastEngine)  # without a file, which it would not read before it refuses
    fast.context = 100
    with pytest.raises(UsageError, match="runs no adapters") as caught:
        list(fast.stream([Request(ids("Hi"), 5, adapter="bank")]))
    assert caught.value.found == "bank"


@given(st.text(min_size=1, max_size=40), st.lists(st.text(min_size=1, max_size=4), max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_stream_never_shows_half_a_character_nor_the_beginning_of_a_stop(text, stops):
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    stream, shown = TextStream(FOUND, stops), ""
    for token in FOUND(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]:
        shown += stream.add(token)
        assert "�" not in shown or "�" in text
        if stream.stopped:
            break
    shown += stream.rest()
    places = [text.find(stop) for stop in stops if stop in text]
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    if not places:
        assert shown == text
    else:
        assert text.startswith(shown)
        assert len(shown) <= min(ends)
        assert not any(stop in shown for stop in stops)


def test_cancelling_ends_one_request_and_not_the_others(engine):
    seen = {0: 0, 1: 0}
    finishes = {}
    for chunk in engine.stream([Request(ids("Hello"), 20), Request(ids("Good day"), 20)]):
        seen[chunk.request] += len(chunk.ids)
        if chunk.finish:
            finishes[chunk.request] = chunk.finish
        if chunk.request == 0 and seen[0] == 3:
            engine.cancel(0)
    assert finishes == {0: "cancelled", 1: "length"}
    assert seen[0] <= 4
    assert seen[1] == 20


def test_leaving_a_stream_ends_it(engine):
    stream = engine.stream([Request(ids("Hello"), 500)])
    assert next(stream).ids
    stream.close()
    assert whole(engine, [Request(ids("Hello"), 2)])[0].finish == "length"


@pytest.mark.parametrize(
    ("prompt", "new", "what"),
    [((), 5, "needs a token"), (ids("Hi"), 0, "one new token"), (ids("Hi"), 4000, "reads 2,048 tokens")],
)
def test_what_cannot_be_written_is_refused(engine, prompt, new, what):
    with pytest.raises(UsageError, match=what):
        list(engine.stream([Request(prompt, new)]))


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"min_p": 2}, {"repetition_penalty": 0}]
)
def test_settings_out_of_bounds_are_refused(wrong):
    with pytest.raises(UsageError):
        Sampling(**wrong)


def drawn(logits, count=2000, **how):
    random = torch.Generator().manual_seed(0)
    return [int(chosen(logits, [Sampling(temperature=1.0, **how)], [random])) for _ in range(count)]


def test_cuts_leave_the_likeliest():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert set(drawn(logits, top_k=2)) == {0, 1}
    assert set(drawn(logits, min_p=0.25)) == {0, 1, 2}
    assert set(drawn(logits, top_p=0.6)) == {0, 1}
    assert set(drawn(logits)) == {0, 1, 2, 3}
    shares = [drawn(logits, top_k=2).count(token) / 2000 for token in (0, 1)]
    assert shares == pytest.approx([0.625, 0.375], abs=0.04)


def test_penalties_are_the_published_ones():
    logits = torch.tensor([[2.0, 1.9, -1.0]])
    how = Sampling(repetition_penalty=2.0)
    assert int(chosen(logits, [how], [torch.Generator()], [[0]], [[]])) == 1
    low = torch.tensor([[-1.0, -1.5]])
    assert int(chosen(low, [how], [torch.Generator()], [[0]], [[]])) == 1
    assert int(chosen(logits, [Sampling(presence_penalty=0.2)], [torch.Generator()], [[0]], [[]])) == 0
    assert int(chosen(logits, [Sampling(presence_penalty=0.2)], [torch.Generator()], [[]], [[0]])) == 1


def test_a_tiny_temperature_is_greedy_and_makes_no_infinities():
    logits = torch.tensor([[1.0, 30.0, 2.0]])
    assert int(chosen(logits, [Sampling(temperature=1e-6)], [torch.Generator().manual_seed(0)])) == 1


def test_a_text_under_a_regular_expression_matches_it(engine):
    grammar = Grammar(regex=r"(yes|no), [0-9]{3}")
    done = whole(
        engine, [Request(ids("Hello"), 40, Sampling(temperature=1.0, seed=seed), grammar=grammar) for seed in range(6)]
    )
    assert all(re.fullmatch(r"(yes|no), [0-9]{3}", one.text) for one in done)
    assert {one.finish for one in done} == {"stop"}
    assert len({one.text for one in done}) > 1


def test_a_text_under_a_schema_is_such_json(engine):
    schema = {"type": "object", "properties": {"label": {"enum": ["loan", "card"]}, "sure": {"type": "boolean"}},
              "required": ["label", "sure"], "additionalProperties": False}  # fmt: skip
    grammar = Grammar(json_schema=json.dumps(schema))
    (one,) = whole(engine, [Request(ids("Hello"), 300, Sampling(temperature=0.5, seed=3), grammar=grammar)])
    assert one.finish == "stop"
    found = json.loads(one.text)
    assert found["label"] in ("loan", "card")
    assert isinstance(found["sure"], bool)


def test_a_grammar_that_is_none_is_refused(engine):
    with pytest.raises(UsageError):
        Grammar()
    with pytest.raises(UsageError, match="expression"):
        list(engine.stream([Request(ids("Hi"), 5, grammar=Grammar(regex="(unclosed"))]))
