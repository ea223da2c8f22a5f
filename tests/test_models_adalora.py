"""AdaLoRA: ranks go where they matter, by the paper's formulas; a stopped run goes on with the same ranks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_train_state import classifier, labelled, losses, settings

from sixfold.errors import ModelError, UsageError
from sixfold.models import adapters
from sixfold.models.adapters import AdaLora, Lora
from sixfold.models.adapters.low_rank import AdaLoraLinear
from sixfold.tasks.text_classification import TextClassification
from sixfold.train.events import Evaluated, Started, Step, Stopped
from sixfold.train.loop import fit
from sixfold.train.many import Many
from sixfold.train.ranks import PENALTY, Ranks, budget

TASK = TextClassification(labels=("a", "b"))
ADAPTER = AdaLora(2, 4, 8.0, every=2, start=0.2, end=0.6)
MATRICES = 12


def layer(seed, adapter=ADAPTER, inputs=5, outputs=6):
    random = torch.Generator().manual_seed(seed)
    made = AdaLoraLinear(torch.nn.Linear(inputs, outputs).double(), adapter, random)
    with torch.no_grad():
        for weight in (made.lora_A, made.lora_E, made.lora_B):
            weight.copy_(torch.randn(weight.shape, generator=random))
    return made


def adapted(adapter=ADAPTER):
    model = classifier()
    adapters.add(model, adapter, seed=1)
    return model


def test_an_update_and_the_penalty_have_the_gradients_of_their_formulas():
    one = layer(0)
    x = torch.randn(3, 5, dtype=torch.double)
    weight = one.base.weight + one.scale * one.lora_B @ torch.diag(one.lora_E[:, 0]) @ one.lora_A
    torch.testing.assert_close(one(x), x @ weight.T + one.base.bias)
    own = (one.lora_A, one.lora_E, one.lora_B)

    def told(*given):
        names = ("lora_A", "lora_E", "lora_B")
        return torch.func.functional_call(one, dict(zip(names, given, strict=True)), (x,))

    assert torch.autograd.gradcheck(told, own)
    one.penalty().backward()
    p, q, eye = one.lora_B.detach(), one.lora_A.detach(), torch.eye(4, dtype=torch.double)
    torch.testing.assert_close(one.lora_B.grad, 4 * p @ (p.T @ p - eye))
    torch.testing.assert_close(one.lora_A.grad, 4 * (q @ q.T - eye) @ q)
    assert one.lora_E.grad is None
    wanted = np.linalg.norm(p.T @ p - eye) ** 2 + np.linalg.norm(q @ q.T - eye) ** 2
    assert one.penalty().item() == pytest.approx(float(wanted))


def slow_budget(t, steps, b0, last, ti, tf):
    """Equation 11 of the paper, with t_f counted from the end; its cubic begins at b(0) and ends at b(T)."""
    if t < ti:
        return b0
    if t >= steps - tf:
        return last
    return last + round((b0 - last) * (1 - (t - ti) / (steps - ti - tf)) ** 3)


class Slow:
    """Algorithm 1, a number at a time."""

    def __init__(self, layers, steps):
        self.layers, self.steps, self.adapter = layers, steps, layers[0].adapter
        self.mean, self.spread, self.kept, self.t = {}, {}, None, 0

    def see(self):
        b1, b2 = self.adapter.beta1, self.adapter.beta2
        for k, one in enumerate(self.layers):
            for name in ("lora_A", "lora_E", "lora_B"):
                weight = getattr(one, name)
                for at in np.ndindex(*weight.shape):
                    key = (k, name, at)
                    now = abs(weight[at].item() * weight.grad[at].item())
                    self.mean[key] = b1 * self.mean.get(key, 0.0) + (1 - b1) * now
                    off = abs(now - self.mean[key])
                    self.spread[key] = b2 * self.spread.get(key, 0.0) + (1 - b2) * off

    def importance(self):
        def s(*key):
            return self.mean[key] * self.spread[key]

        scores = {}
        for k, one in enumerate(self.layers):
            outputs, ranks = one.lora_B.shape
            inputs = one.lora_A.shape[1]
            for i in range(ranks):
                scores[k, i] = (
                    s(k, "lora_E", (i, 0))
                    + sum(s(k, "lora_B", (j, i)) for j in range(outputs)) / outputs
                    + sum(s(k, "lora_A", (i, j)) for j in range(inputs)) / inputs
                )
        return scores

    def singular_values(self, before):
        """Λ after step t, of what the optimiser made of it."""
        self.t += 1
        a, count = self.adapter, len(self.layers)
        begins, ends = round(a.start * self.steps), round(a.end * self.steps)
        wanted = slow_budget(self.t, self.steps, count * a.start_rank, count * a.rank, begins, self.steps - ends)
        if self.t <= ends and (self.t == ends or self.t % a.every == 0):
            scores = self.importance()
            self.kept = sorted(scores, key=lambda key: (-scores[key], key))[:wanted]
        elif self.t < ends:
            return before
        return [[v if (k, i) in self.kept else 0.0 for i, v in enumerate(row)] for k, row in enumerate(before)]


@pytest.mark.parametrize("shapes", [((5, 6),), ((5, 6), (3, 8), (7, 2))])
def test_ranks_are_shared_out_as_the_paper_says(shapes):
    steps = 20
    layers = [layer(number, inputs=a, outputs=b) for number, (a, b) in enumerate(shapes)]
    fast, slow = Ranks(layers, steps), Slow(layers, steps)
    random = torch.Generator().manual_seed(3)
    counts = []
    for _ in range(steps):
        for one in layers:
            for weight in (one.lora_A, one.lora_E, one.lora_B):
                weight.grad = torch.randn(weight.shape, generator=random, dtype=torch.double)
        fast.observe()
        slow.see()
        with torch.no_grad():
            for one in layers:
                for weight in (one.lora_A, one.lora_E, one.lora_B):
                    weight -= 0.1 * weight.grad
        before = [one.lora_E[:, 0].tolist() for one in layers]
        fast.allocate()
        assert [one.lora_E[:, 0].tolist() for one in layers] == slow.singular_values(before)
        scores = slow.importance()
        wanted = [[scores[k, i] for i in range(4)] for k in range(len(layers))]
        np.testing.assert_allclose(fast.importance().numpy(), wanted, rtol=1e-12)
        counts.append(sum(one.rank for one in layers))
    assert counts[0] == 4 * len(layers)
    assert counts[11:] == [2 * len(layers)] * 9
    assert fast.settled


@given(
    steps=st.integers(1, 500),
    last=st.integers(1, 50),
    more=st.integers(0, 50),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_a_budget_falls_from_the_first_to_the_last(steps, last, more, shares):
    found = [budget(step, steps, last + more, last, *shares) for step in range(steps + 1)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == last
    assert all(value == last for value in found[round(shares[1] * steps) :])
    before = found[: min(round(shares[0] * steps) + 1, round(shares[1] * steps))]
    assert all(value == last + more for value in before)
    begins, ends = (round(share * steps) for share in shares)
    assert found == [slow_budget(step, steps, last + more, last, begins, steps - ends) for step in range(steps + 1)]


def test_equal_importance_still_gives_the_exact_budget():
    layers = [layer(number) for number in range(3)]
    ranks = Ranks(layers, 5)
    for _ in range(5):
        ranks.allocate()  # nothing was ever observed
    assert sum(one.rank for one in layers) == 6


def test_the_penalty_joins_the_loss_and_its_gradient_the_others():
    alone, joined = adapted(AdaLora(2, 4, 8.0, orthogonal=0.0)), adapted(AdaLora(2, 4, 8.0, orthogonal=0.5))
    first = {}
    for name, model in (("alone", alone), ("joined", joined)):
        run = fit(model, TASK, labelled(), settings(clip=1e9), seed=7)
        first[name] = next(event for event in run if isinstance(event, Step))
        run.close()
    layers = [one for one in adapted().modules() if isinstance(one, AdaLoraLinear)]
    assert len(layers) == MATRICES
    penalty = 0.5 * sum(one.penalty().item() for one in layers) / MATRICES
    assert first["joined"].terms[PENALTY] == pytest.approx(penalty, rel=1e-5)
    assert first["alone"].terms[PENALTY] == 0.0
    assert first["joined"].loss - first["alone"].loss == pytest.approx(penalty, rel=1e-4)
    sum(0.5 * one.penalty() / MATRICES for one in layers).backward()
    more = sum(float(weight.grad.square().sum()) for one in layers for weight in (one.lora_A, one.lora_B))
    # λ = 0 at first, so P and Q get no gradient but the penalty's
    assert first["joined"].grad_norm ** 2 - first["alone"].grad_norm ** 2 == pytest.approx(more, rel=1e-4)


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_the_budget_at_the_end_is_exact_and_told(optimiser):
    model = adapted()
    events = list(fit(model, TASK, labelled(), settings(optimiser=optimiser), seed=7))
    assert sum(adapters.ranks(model).values()) == ADAPTER.rank * MATRICES
    assert len(set(adapters.ranks(model).values())) > 1, "shared out, and not alike"
    (choice,) = (one for one in events[0].choices if one.name == "ranks")
    assert (choice.value, choice.reason[:21]) == (24, "of 48 in 12 matrices,")


@pytest.mark.parametrize("stops", [(2,), (5,), (1, 4, 8, 11)], ids=["before", "amid", "often"])
def test_a_stopped_run_goes_on_bit_for_bit(stops, tmp_path):
    whole = adapted()
    expected = losses(list(fit(whole, TASK, labelled(), settings(), seed=7)))
    found = []
    for stop_at in (*stops, None):
        model, events = adapted(), []
        run = fit(
            model,
            TASK,
            labelled(),
            settings(),
            seed=7,
            folder=tmp_path,
            stop=lambda: bool(events) and stop_at is not None and events[-1].step >= stop_at,  # noqa: B023
        )
        for event in run:
            events.append(event)
        found += losses(events)
        torch.manual_seed(len(found))  # whatever another process draws
    assert found == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_a_state_of_other_ranks_is_refused(tmp_path):
    run = fit(adapted(), TASK, labelled(), settings(save_minutes=0), seed=7, folder=tmp_path)
    for _ in zip(range(3), run, strict=False):
        pass
    run.close()
    for other in (adapted(Lora(4)), adapted(AdaLora(2, 5, 8.0)), classifier()):
        with pytest.raises(ModelError, match="another model"):
            list(fit(other, TASK, labelled(), settings(), seed=7, folder=tmp_path))


def test_the_best_weights_are_of_the_budget_that_was_asked_for():
    """The score is best at first, before ranks are taken away: that model is larger than asked for."""
    model, scores = adapted(), iter(range(100, 0, -1))
    config = settings(evaluations=4, patience=2)
    events = list(fit(model, TASK, labelled(), config, seed=7, evaluate=lambda _: {"macro_f1": next(scores)}))
    started, stopped = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(stopped, Stopped)
    assert [(event.step, event.best) for event in events if isinstance(event, Evaluated)] == [
        *((step, False) for step in range(1, 7)),
        *((7, True), (8, False), (9, False)),
    ]
    assert (stopped.best_step, stopped.reason, started.steps) == (7, "early", 12)
    assert sum(adapters.ranks(model).values()) == ADAPTER.rank * MATRICES


def test_several_processes_are_refused():
    with pytest.raises(UsageError, match="one process only"):
        Many(SimpleNamespace(world=2), adapted(), TASK, labelled(), settings(), rate=1e-3, autocast=False, folder=None)
