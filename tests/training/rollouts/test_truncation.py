"""Lengths under a budget: what is cut counts as longer than it was, and a proposal says how well it is founded."""

from __future__ import annotations

import json
import math

import pytest

from vlmpost.training.rollouts.truncation import Proposal, TruncationWindow, proposed_length, survival


def test_survival_is_kaplan_and_meiers_product():
    # the textbook's remission times, in weeks, of 21 patients on 6-MP (Freireich et al., Blood 21, 1963); True is censored
    lengths = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    cut = [False, False, False, True, False, True, False, True, True, False, False, True, True, True, False, False, *[True] * 5]
    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    assert {length: round(share, 3) for length, share in survival(lengths, cut)} == published


def test_without_cuts_the_proposal_is_the_quantile():
    assert proposed_length(list(range(1, 101)), [False] * 100, wanted_share=0.99) == Proposal(99, "measured")
    assert proposed_length([7], [False], wanted_share=0.99) == Proposal(7, "measured")


def test_a_few_cuts_early_on_make_the_proposal_longer_than_the_finished_ones_say():
    # 100 end at 10, 4 are cut at 5 (a shorter budget), 1 of 101 ends at 50: S(10) = 1 - 100 / 101 = 0.0099
    lengths, cut = [5] * 4 + [10] * 100 + [50], [True] * 4 + [False] * 101
    assert proposed_length(lengths, cut, wanted_share=0.99) == Proposal(10, "measured")
    # with 2 of 102 at 50 the share left after 10 is 2 / 102 = 0.0196, so 50 is needed
    assert proposed_length([*lengths, 50], [*cut, False], wanted_share=0.99) == Proposal(50, "measured")


def test_nothing_finished_means_above_the_budget():
    assert proposed_length([64] * 8, [True] * 8) == Proposal(64, "above")


def test_too_few_ends_in_the_longer_half_are_no_ground_to_extrapolate():
    assert proposed_length([*[10] * 20, *[60] * 9, *[64] * 40], [False] * 29 + [True] * 40) == Proposal(64, "above")


def test_a_steady_rate_is_extrapolated():
    # of 80, 40 end at 75 and 40 are cut at 100: left 0.5; at risk beyond 50: 40 * 25 + 40 * 50 = 3000 tokens for 40 ends, 75 each;
    # from 0.5 to 0.1: ln 5 * 75 = 120.7 more
    lengths, cut = [75] * 40 + [100] * 40, [False] * 40 + [True] * 40
    assert (
        proposed_length(lengths, cut, wanted_share=0.9)
        == Proposal(math.ceil(100 + 75 * math.log(5)), "extrapolated")
        == Proposal(221, "extrapolated")
    )
    # to 0.01: 75 * ln 50 = 293 more, 393 in all; to 0.001 it would be 75 * ln 500 = 466, beyond four times 100
    assert proposed_length(lengths, cut, wanted_share=0.99) == Proposal(394, "extrapolated")
    assert proposed_length(lengths, cut, wanted_share=0.999) == Proposal(100, "above")


def test_the_true_length_of_an_exponential_tail_is_found_again():
    # quantiles of an exponential of mean 100, cut at 150: 22 % are cut; 99 % end by 100 * ln 100 = 461
    lengths = [max(1, round(-100 * math.log(1 - (index + 0.5) / 1000))) for index in range(1000)]
    proposal = proposed_length([min(length, 150) for length in lengths], [length > 150 for length in lengths])
    assert proposal.kind == "extrapolated"
    assert proposal.length == pytest.approx(461, rel=0.05)


def test_the_figures_name_what_is_known():
    assert Proposal(200, "extrapolated").figures() == Proposal(200, "measured").figures() == {"proposed_completion_length": 200.0}
    assert Proposal(64, "above").figures() == {"completion_length_above": 64.0}


def test_a_window_forgets_old_batches_and_survives_a_checkpoint():
    window = TruncationWindow(num_steps=2, wanted_share=0.5)
    assert window.figures() == {}
    window.add([1000], [True])
    window.add([4, 8], [False, True])
    window.add([6, 6], [False, False])
    # 4 of 4 at risk: 0.75 left; 6, 6 of 3: 0.75 * 1 / 3 = 0.25
    expected = {"window_truncated_share": 0.25, "proposed_completion_length": 6.0}
    assert window.figures() == expected
    resumed = TruncationWindow(num_steps=2, wanted_share=0.5)
    resumed.load_state_dict(json.loads(json.dumps(window.state_dict())))
    assert resumed.figures() == expected
    resumed.add([9, 9], [True, True])
    resumed.add([9, 9], [True, True])
    assert resumed.figures() == {"window_truncated_share": 1.0, "completion_length_above": 9.0}


def test_lengths_and_flags_go_together():
    with pytest.raises(AssertionError, match="2 lengths, 1 flags"):
        TruncationWindow().add([1, 2], [True])
