"""The completions of one optimizer step and the totals that their loss is divided by."""

from __future__ import annotations

import torch

from vlmpost.models.prompts import EncodedPrompt
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.mini_batch import Noted, chosen, counts, mini_batches

PROMPT = EncodedPrompt((1,), {}, {})


def _experience(**tensors):
    """Completions of three, one and two tokens; of the last, one token is the environment's."""
    sampled = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 0]], dtype=torch.bool)
    return Experience((PROMPT,), (0, 0, 0), ((1, 2, 3), (4,), (5, 6)), {"sampled": sampled, **tensors})


def test_rows_and_tokens_are_counted():
    # Three rows with 3 + 1 + 1 tokens; without a policy mask they are the policy's too; no critic, no values.
    assert counts(_experience()).tolist() == [3, 5, 3, 5, 0]


def test_the_policys_rows_are_counted_by_themselves():
    kept = torch.tensor([True, False, True])
    assert counts(_experience(policy_rows=kept)).tolist() == [3, 5, 2, 4, 0]


def test_values_to_learn_are_counted():
    valued = torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 0]], dtype=torch.bool)
    assert counts(_experience(valued=valued)).tolist() == [3, 5, 3, 5, 2]


def test_a_process_without_rows_goes_along_and_counts_nothing():
    valued = torch.ones(3, 3, dtype=torch.bool)
    idle = chosen(_experience(valued=valued, policy_rows=torch.ones(3, dtype=torch.bool)), [])
    assert len(idle) == 1 and idle.completions == ((1, 2, 3),)
    assert counts(idle).tolist() == [0, 0, 0, 0, 0]
    assert not idle.tensors["sampled"].any() and not idle.tensors["valued"].any()


def test_an_idle_row_that_is_taken_on_into_a_pass_stays_idle():
    idle = chosen(_experience(), []).take([0])
    assert counts(idle).tolist() == [0, 0, 0, 0, 0]


def test_rows_that_are_chosen_are_taken_as_they_are():
    part = chosen(_experience(), [2, 0])
    assert part.completions == ((5, 6), (1, 2, 3)) and "idle" not in part.tensors


def test_totals_are_each_steps_own_but_for_the_items_which_are_the_mean_over_the_batch():
    # Two steps of 4 and 2 rows, 10 and 6 tokens: TRL's items are the mean, 8; of the policy's 8 and 4 tokens, 6.
    totals = torch.tensor([[4, 10, 3, 8, 7], [2, 6, 2, 4, 5]], dtype=torch.float64)
    parts = [_experience(), _experience()]
    one, two = mini_batches(parts, totals)
    assert one.experience is parts[0] and two.experience is parts[1]
    assert (one.totals.num_rows, one.totals.num_tokens, one.totals.num_items) == (4, 10, 8)
    assert (two.totals.num_rows, two.totals.num_tokens, two.totals.num_items) == (2, 6, 8)
    assert (one.policy_totals.num_rows, one.policy_totals.num_tokens, one.policy_totals.num_items) == (3, 8, 6)
    assert (one.num_values, two.num_values) == (7, 5)


def test_figures_of_passes_add_up():
    noted = Noted()
    noted.add({"kl": torch.tensor([1.5, 3.0]), "entropy": (2.0, 4.0)})
    noted.add({"kl": (0.5, 1.0)})
    assert dict(noted.sums) == {"kl": (2.0, 4.0), "entropy": (2.0, 4.0)}
