"""Generation against the model run plainly; sampling that does not depend on the batch."""

import pytest
import torch
import transformers

from sixfold.generate.engine import Generator, Sampling
from sixfold.generate.sampling import chosen
from sixfold.tasks.contract import Limits

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13], [5, 6, 8]]


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def model(request):
    torch.manual_seed(0)
    shape = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    shape |= {"intermediate_size": 24, "num_key_value_heads": 1, "initializer_range": 0.4}
    if request.param == "llama":
        return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape)).eval()
    return transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**shape, head_dim=8)).eval()


def plainly(model, prompt, new, stop=()):
    ids = list(prompt)
    for _ in range(new):
        with torch.no_grad():
            token = int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token in stop:
            break
        ids.append(token)
    return ids[len(prompt) :]


def test_greedy_is_what_the_model_says_without_cache_or_batch(model):
    written = Generator(model).write(PROMPTS, Limits(12))
    assert written == [plainly(model, prompt, 12) for prompt in PROMPTS]
    assert len({token for text in written for token in text}) > 3


def test_a_text_ends_at_its_stop_token_and_the_others_go_on(model):
    stop = plainly(model, PROMPTS[2], 12)[4]
    written = Generator(model).write(PROMPTS, Limits(12, stop_ids=(stop,)))
    assert written == [plainly(model, prompt, 12, (stop,)) for prompt in PROMPTS]
    assert len(written[2]) <= 4


def test_a_sampled_text_depends_on_its_seed_and_not_on_its_batch(model):
    sampling = Sampling(temperature=1.0, top_p=0.9, seed=3)
    together = Generator(model, sampling).write(PROMPTS, Limits(8))
    alone = [
        Generator(model, Sampling(1.0, 0.9, seed=3 + place)).write([prompt], Limits(8))[0]
        for place, prompt in enumerate(PROMPTS)
    ]
    assert together == alone
    assert together != Generator(model, Sampling(1.0, 0.9, seed=99)).write(PROMPTS, Limits(8))


def test_draws_follow_the_probabilities_and_top_p_cuts_the_tail():
    probabilities = torch.tensor([[0.1, 0.6, 0.3]])
    random = torch.Generator().manual_seed(0)
    drawn = [int(chosen(probabilities.log(), [Sampling(1.0)], [random])) for _ in range(3000)]
    for token, share in enumerate(probabilities[0]):
        assert abs(drawn.count(token) / 3000 - float(share)) < 0.03
    cut = [int(chosen(probabilities.log(), [Sampling(1.0, top_p=0.7)], [random])) for _ in range(3000)]
    assert cut.count(0) == 0
    assert abs(cut.count(1) / 3000 - 2 / 3) < 0.03
