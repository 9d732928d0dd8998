"""Each rule sees its seeded fault, and a healthy run gets no finding."""

from __future__ import annotations

import pytest

from vlmpost.training import doctor
from vlmpost.training.doctor import Doctor

HEALTHY = {
    "loss": 0.1,
    "grad_norm": 0.5,
    "reward": 0.4,
    "flat_group_share": 0.3,
    "truncated_share": 0.1,
    "parse_failure_share": 0.05,
    "length_tokens": 40.0,
    "entropy": 0.8,
    "image_token_share": 0.0,
    "sampler_gap_nats": 0.04,
    "explained_variance": 0.3,
    "useful_groups": 10.0,
    "replayed_groups": 2.0,
}


def _examine(faults, num_rows=60):
    """The findings of a run whose first ten rows are healthy."""
    patient = Doctor()
    found = []
    for step in range(1, num_rows + 1):
        row = HEALTHY | {"step": step} | (faults if step > 10 else {})
        found += [(step, finding) for finding in patient.examine(row)]
    return found


def test_a_healthy_run_has_no_finding():
    assert _examine({}) == []


@pytest.mark.parametrize(
    ("faults", "name", "fatal", "step"),
    [
        ({"loss": float("nan")}, "non-finite loss", True, 11),
        ({"loss": float("-inf")}, "non-finite loss", True, 11),
        ({"image_token_share": 0.02}, "emitted image tokens", True, 11),
        ({"grad_norm": 0.0}, "zero gradients", True, 13),
        ({"flat_group_share": 0.95}, "flat groups", False, 15),
        ({"truncated_share": 0.8}, "truncation", False, 13),  # (2 * 0.1 + 3 * 0.8) / 5 = 0.52
        ({"parse_failure_share": 0.9}, "parse failures", False, 13),  # (2 * 0.05 + 3 * 0.9) / 5 = 0.56
        ({"length_tokens": 4.0}, "length collapse", False, 15),
        ({"entropy": 0.001}, "entropy collapse", False, 15),
        ({"sampler_gap_nats": 0.7}, "sampler gap", True, 12),  # (3 * 0.04 + 2 * 0.7) / 5 = 0.304
        ({"explained_variance": -0.2}, "useless critic", False, 30),
        ({"useful_groups": 2.0, "replayed_groups": 10.0}, "stale signal", False, 13),  # means of 5.2 and 6.8: 6.8 / 12
    ],
)
def test_each_seeded_fault_is_found_once_with_evidence_and_remedy(faults, name, fatal, step):
    found = _examine(faults, num_rows=40)
    assert [(finding.name, finding.fatal, at) for at, finding in found] == [(name, fatal, step)]
    assert len(found[0][1].evidence) > 15
    assert len(found[0][1].remedy) > 30


def test_flat_groups_turn_fatal_when_nothing_was_learnt_for_fifty_rows():
    patient = Doctor()
    for step in range(1, 51):
        findings = patient.examine(HEALTHY | {"step": step, "flat_group_share": 1.0, "grad_norm": 0.0})
        if step == 5:
            assert [finding.fatal for finding in findings] == [False]
    hopeless = doctor.flat_groups([{"flat_group_share": 1.0}] * 50)
    assert hopeless is not None and hopeless.fatal
    assert [finding.fatal for finding in findings] == [True]


def test_completions_that_no_reward_applies_to_are_neither_flat_nor_a_dead_model():
    for nothing in (None, float("nan")):  # null in metrics.jsonl
        found = _examine({"reward": nothing, "flat_group_share": 1.0, "grad_norm": 0.0}, num_rows=65)
        assert [(finding.name, finding.fatal, at) for at, finding in found] == [("no rewards", False, 15), ("no rewards", True, 60)]


def test_zero_gradients_of_flat_groups_are_not_called_a_dead_model():
    assert doctor.zero_gradients([{"grad_norm": 0.0, "flat_group_share": 1.0}] * 5) is None
    assert doctor.zero_gradients([{"grad_norm": 0.0}] * 3) is not None


def test_low_entropy_of_sft_is_its_aim():
    assert doctor.entropy_collapse([{"entropy": 0.001}] * 10) is None


def test_a_missing_or_empty_figure_is_no_finding():
    assert doctor.truncation([{"truncated_share": None}] * 10) is None
    assert doctor.truncation([{}] * 10) is None


def test_a_finding_is_said_again_after_it_was_gone():
    patient = Doctor()
    said = []
    for share in (1.0, 0.0, 1.0):
        for _ in range(6):
            said += patient.examine({"step": 1, "truncated_share": share})
    assert [finding.name for finding in said] == ["truncation", "truncation"]


def test_a_resumed_doctor_does_not_repeat_what_was_said_before():
    rows = [{"step": step, "truncated_share": 1.0} for step in range(1, 8)]
    assert Doctor(rows).examine({"step": 8, "truncated_share": 1.0}) == []


def test_the_remedy_for_truncation_names_the_length_that_was_estimated():
    row = {"truncated_share": 0.6, "proposed_completion_length": 393.0}
    assert "max_completion_length to about 393, or set" in doctor.truncation([row] * 5).remedy
    row = {"truncated_share": 0.6, "completion_length_above": 128.0}
    assert "max_completion_length above 128 (" in doctor.truncation([row] * 5).remedy
    assert "max_completion_length, or set" in doctor.truncation([{"truncated_share": 0.6}] * 5).remedy


def test_the_remedy_for_flat_groups_names_the_signal_keys():
    remedy = doctor.flat_groups([{"flat_group_share": 0.95}] * 5).remedy
    assert "signal.dynamic_sampling" in remedy and "signal.prompt_pools" in remedy


def test_a_critic_that_was_once_of_use_is_not_called_useless():
    bad, good = {"explained_variance": -1.0}, {"explained_variance": 0.01}
    assert doctor.useless_critic([*[bad] * 10, good, *[bad] * 19]) is None
    assert doctor.useless_critic([bad] * 19) is None
    assert doctor.useless_critic([good, *[bad] * 20]) is not None


def test_a_batch_without_replay_is_not_stale():
    assert doctor.stale_signal([{"replayed_groups": 0.0, "useful_groups": 0.0}] * 5) is None
    assert doctor.stale_signal([{"replayed_groups": 3.0}] * 5) is None
