"""One forward pass over completions: the packed and the plain way give the numbers of plain logits, in the batch's order."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from trl.trainer.utils import add_fused_lm_head

from vlmpost.models.prompts import encode_prompts, grown
from vlmpost.models.shared_prompt import sharing
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.micro_batches import Limits, micro_batches
from vlmpost.training.update.scorer import Scorer, TokenScores


def test_parts_are_put_back_in_the_batchs_order():
    parts = [
        TokenScores(torch.tensor([[3.0, 3.5, 3.75], [1.0, 0.0, 0.0]]), torch.tensor([[30.0, 35.0, 37.0], [10.0, 0.0, 0.0]])),
        TokenScores(torch.tensor([[2.0], [0.5]]), torch.tensor([[20.0], [5.0]])),
    ]
    whole = TokenScores.joined(parts, [[3, 1], [2, 0]])
    assert whole.logps_BC.tolist() == [[0.5, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [3.0, 3.5, 3.75]]
    assert whole.entropies_BC.tolist() == [[5.0, 0, 0], [10.0, 0, 0], [20.0, 0, 0], [30.0, 35.0, 37.0]]
    assert whole.values_BC is None


def test_a_reference_that_tells_no_entropy_is_joined_too():
    whole = TokenScores.joined([TokenScores(torch.tensor([[1.0]]), None), TokenScores(torch.tensor([[2.0]]), None)], [[1], [0]])
    assert whole.logps_BC.tolist() == [[2.0], [1.0]] and whole.entropies_BC is None


def test_values_are_joined_where_there_are_any():
    parts = [TokenScores(torch.zeros(1, 2), None, torch.tensor([[4.0, 5.0]])), TokenScores(torch.zeros(1, 1), None, torch.tensor([[6.0]]))]
    assert TokenScores.joined(parts, [[1], [0]]).values_BC.tolist() == [[6.0, 0.0], [4.0, 5.0]]


@pytest.fixture(params=["qwen2_5_vl", "smolvlm", "gemma3"])
def asked(request, load_tiny):
    """(model, experience, pad id): three prompts with no image, one and two, and five completions of one to six tokens."""
    loaded = load_tiny(request.param)
    add_fused_lm_head(loaded.model, outputs=("log_probs", "entropy"))
    pictures = [[], [Image.new("RGB", (28, 28), "red")], [Image.new("RGB", (56, 28), "blue"), Image.new("RGB", (28, 28), "green")]]
    chats = [
        [{"role": "user", "content": [*[{"type": "image"}] * len(own), {"type": "text", "text": f"How many? {place}" * (place + 1)}]}]
        for place, own in enumerate(pictures)
    ]
    prompts = encode_prompts(loaded.processor, chats, pictures)
    completions = ((20, 21, 22), (23,), (24, 25, 26, 27, 28, 29), (30, 31), (32, 33, 34))
    tokenizer = loaded.processor.tokenizer
    return loaded.model.eval(), Experience(tuple(prompts), (1, 0, 2, 1, 2), completions), tokenizer.pad_token_id


def _by_hand(model, experience):
    """Log-probabilities and entropies from plain logits, one completion at a time."""
    for owner, completion in zip(experience.owners, experience.completions, strict=True):
        prompt = experience.prompts[owner]
        inputs = grown(prompt, completion)
        fields = dict(inputs.images) | {name: types[None] for name, types in inputs.token_types.items()}
        logits = model(input_ids=torch.tensor([inputs.token_ids]), **fields).logits[0, len(prompt.token_ids) - 1 : -1]
        logps = torch.log_softmax(logits.float(), 1)
        yield logps[range(len(completion)), list(completion)], -(logps.exp() * logps).sum(1)


@pytest.mark.parametrize("shared", [True, False])
def test_both_ways_give_the_numbers_of_plain_logits(shared, asked):
    model, experience, pad = asked
    scorer = Scorer(shared, pad, torch.device("cpu"))
    parts = micro_batches([3, 1, 6, 2, 3], experience.owners, [len(prompt.token_ids) for prompt in experience.prompts], Limits(2))
    assert len(parts) > 2
    with torch.no_grad(), sharing(model):
        whole = scorer(model, model, experience)
        cut = TokenScores.joined([scorer(model, model, experience.take(rows)) for rows in parts], parts)
        expected = list(_by_hand(model, experience))
    for found in (whole, cut):
        assert found.logps_BC.shape == (5, 6) and found.values_BC is None
        for row, (logps, entropies) in enumerate(expected):
            length = len(logps)
            assert torch.allclose(found.logps_BC[row, :length], logps, atol=1e-5)
            assert torch.allclose(found.entropies_BC[row, :length], entropies, atol=1e-5)
            assert not found.logps_BC[row, length:].any()
