"""Faults between the knobs of guidance, and between them and the rest of an RL recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.config.guidance_presets import PRESETS
from vlmpost.config.load import load
from vlmpost.errors import ConfigError

RL = "data: {train: [{task: counting, num_examples: 10}]}\nrewards: [{name: accuracy}]\n"
HINT = "hint: {law: schedule}"
POLICY = "{role: generated, loss: policy}"


def write(tmp_path: Path, guidance: str, more: str = "") -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(f"{RL}guidance: {{{guidance}}}\n{more}\n")
    return path


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_sound(tmp_path: Path, name: str) -> None:
    assert load("rl", write(tmp_path, f"preset: {name}")).kind == "rl"


@pytest.mark.parametrize(
    ("guidance", "more", "said"),
    [
        ("preset: hpt", "algorithm: {kind: ppo}", "algorithm.kind: guidance compares rollouts of a group"),
        ("preset: hpt", "algorithm: {scale_rewards: batch}", "algorithm.scale_rewards: guidance compares rollouts within groups only"),
        (
            "preset: hpt",
            "algorithm: {advantage_estimator: reinforce_plus_plus_baseline, scale_rewards: none}",
            "algorithm.advantage_estimator: guidance knows group and rloo",
        ),
        ("preset: hpt", "signal: {dynamic_sampling: true}", "signal.dynamic_sampling: chooses what a batch holds by itself"),
        ("preset: hpt", "signal: {prompt_pools: true}", "signal.prompt_pools: "),
        ("preset: hpt", "signal: {replay_size: 8}", "signal.replay_size: "),
        ("preset: hpt", "episode: {verify_iterations: 2}", "guidance: traces are of one reply, and episode plays several turns"),
        (f"{HINT}, losses: [{POLICY}, {POLICY}]", "", "guidance.losses.1: generated has the loss policy above already"),
        (
            f"{HINT}, losses: [{{role: generated, loss: policy, weight: 0.5}}, {{role: hint, loss: policy}}]",
            "",
            "guidance.losses: the policy loss is one over a rollout's tokens",
        ),
        (f"{HINT}, losses: [{{role: hint, loss: policy}}]", "", "guidance.losses: the policy loss is one over a rollout's tokens"),
        (
            f"traces: {{rows: beside}}, gate: {{questions: all}}, losses: [{POLICY}]",
            "",
            "guidance.traces.rows: beside puts traces into a batch",
        ),
        (
            f"preset: luffy, traces: {{rows: stream}}, losses: [{POLICY}, {{role: trace, loss: shaped}}]",
            "",
            "guidance.traces.rows: the loss shaped is of a trace that is compared",
        ),
        ("preset: luffy, steps: {kind: alternate}", "", "guidance.steps.kind: grouping.kind: with_trace learns a trace with its rollouts"),
        ("preset: chord_mu, steps: {kind: alternate, buffer_size: 4}", "", "guidance.steps.buffer_size: keeps traces of guided questions"),
        ("preset: sasr, traces: {rows: beside}", "", "guidance.traces.rows: drawn steps are on the batch's own traces"),
        ("preset: hpt, gate: {questions: all}", "", "guidance.gate.questions: all has a trace stand in for every question's rollouts"),
        ("preset: progressive, pass_rate: {source: group}", "", "guidance.pass_rate.source: group knows a question's rate after"),
        ("preset: hint_grpo, hint: {levels: [0.0]}", "", "guidance.hint.levels: have none above 0"),
        ("losses: [{role: generated, loss: dft}]", "", "guidance.losses.0.loss: generated tokens have the loss policy, got dft"),
        ("traces: {rows: beside}, losses: [{role: trace, loss: policy}]", "", "guidance.losses.0.loss: a trace was not sampled"),
        (f"{HINT}, losses: [{{role: hint, loss: shaped}}]", "", "guidance.losses.0.loss: shaped is for traces"),
        (f"losses: [{POLICY}, {{role: trace, loss: dft}}]", "", "guidance.losses.1: a loss on traces, and guidance.traces.rows: none"),
        (f"losses: [{POLICY}, {{role: hint, loss: dft}}]", "", "guidance.losses.1: a loss on hints, and guidance.hint.law: none"),
        (
            f"hint: {{law: schedule, placement: prompt}}, losses: [{POLICY}, {{role: hint, loss: dft}}]",
            "",
            "guidance.losses.1: a loss on hints, which stand in the prompt",
        ),
        (
            f"{HINT}, losses: [{{role: hint, loss: dft, gamma: 0.5}}]",
            "",
            "guidance.losses.0.gamma: is for shaped, and has no effect on dft",
        ),
        (f"{HINT}, losses: [{{role: hint, loss: dft, weight: -1.0}}]", "", "guidance.losses.0.weight: a negative weight would unlearn"),
        ("losses: [{role: generated, loss: policy, top_entropy_share: 0.2}]", "", "there is algorithm.top_entropy_quantile"),
        (f"{HINT}, gate: {{questions: none}}", "", "guidance.gate.questions: none lets no question have a hint"),
        ("hint: {law: schedule, levels: [0.0, 0.5]}", "", "guidance.hint.levels: is for law ascending, got schedule"),
        ("hint: {law: binary}", "", "guidance.hint.num_segments: law binary searches numbers of segments"),
        ("hint: {law: ascending, levels: [0.5, 0.25]}", "", "guidance.hint.levels: must rise, got [0.5, 0.25]."),
        ("hint: {law: ascending, levels: [0.5, 1.5]}", "", "guidance.hint.levels: are shares of the trace, from 0 to 1"),
        ("hint: {law: ascending, levels: [0.5, 1.0]}", "", "guidance.hint.levels: 1 is the whole trace, with nothing left to generate"),
        ("hint: {law: binary, num_segments: 4, band: [0.9, 0.1]}", "", "guidance.hint.band: is the lowest and the highest share"),
        ("hint: {law: schedule, share: {kind: linear, start: 2.0}}", "", "guidance.hint.share: is a share from 0 to 1, got 0 to 2."),
        ("hint: {law: schedule, rollouts: 9}", "", "guidance.hint.rollouts: is above algorithm.num_generations (9 > 8)."),
        (
            "preset: hpt",
            "algorithm: {multi_objective_aggregation: normalize_then_sum}",
            "algorithm.multi_objective_aggregation: normalize_then_sum scales by the whole batch",
        ),
        (
            "hint: {law: schedule, share: {kind: linear, begin: 0.6, until: 0.5}}",
            "",
            "guidance.hint.share.begin: is after until (0.6 > 0.5)",
        ),
        (
            f"{HINT}, losses: [{POLICY}, {{role: hint, loss: dft, weight: {{kind: cosine, until: 300}}}}]",
            "",
            "guidance.losses.1.weight.until: is a share of the run, at most 1, got 300; for optimizer steps add unit: step.",
        ),
        (
            f"{HINT}, losses: [{POLICY}, {{role: hint, loss: dft, per: token, count: rows}}]",
            "",
            "guidance.losses.1.count: is for means over sequences, and per: token has none",
        ),
        (
            "hint: {law: uniform, share: 0.5, upper: 0.4}",
            "",
            "guidance.hint.upper: is the largest share, and hint.share reaches 0.5; got 0.4.",
        ),
        (
            "hint: {law: schedule, placement: prompt, rollouts: 2}",
            "",
            "guidance.hint.rollouts: a hint in the prompt (placement) is there for all rollouts",
        ),
        ("steps: {buffer_size: 8}", "", "guidance.steps.buffer_size: is for kind: alternate, got joint"),
        ("traces: {rows: in_place}, steps: {kind: drawn}", "", "guidance.steps.num_warmup_steps: kind: drawn compares gradients"),
        ("steps: {kind: alternate}", "", "guidance.steps.kind: alternate has steps on traces, and guidance.traces.rows: none"),
        ("grouping: {kind: with_trace}", "", "guidance.grouping.kind: with_trace needs the trace beside the rollouts"),
        ("grouping: {right_weight: 0.5}", "", "guidance.grouping.right_weight: is for kind: signed, got rollouts"),
        (f"{HINT}, grouping: {{kind: plain_baseline}}", "", "compares with rollouts without a hint, and there are none"),
        (
            "traces: {rows: beside}, losses: [{role: trace, loss: shaped}]",
            "",
            "guidance.grouping.kind: the loss shaped needs the trace's advantage",
        ),
        ("traces: {rows: in_place}, gate: {questions: none}", "", "guidance.gate.questions: none lets no question have a trace"),
        ("pass_rate: {path: r.yaml}", "", "guidance.pass_rate.path: is for source: table"),
        ("traces: {path: nowhere.jsonl}", "", "guidance.traces.path: no such file or folder: nowhere.jsonl"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, guidance: str, more: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load("rl", write(tmp_path, guidance, more))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("guidance", "more"),
    [
        ("preset: hpt, gate: {pass_rate: 0.25}", "algorithm: {num_generations: 4}"),
        ("preset: prefix_rft", "algorithm: {num_iterations: 2}"),
        ("preset: progressive, hint: {share: {kind: linear}}", "algorithm: {advantage_estimator: rloo}"),
        ("preset: interleaved_buffered, steps: {buffer_size: 8}", ""),
    ],
)
def test_what_goes_together_passes(tmp_path: Path, guidance: str, more: str) -> None:
    assert load("rl", write(tmp_path, guidance, more)).config.guidance is not None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("reference_model: nano", "reference_model: has no effect while algorithm.beta is 0"),
        (
            "reference_model: nano\nalgorithm: {beta: 0.1}\nmodel: {use_peft: true}",
            "reference_model: adapters are compared with the model under",
        ),
        ("reference_model: no/such/one\nalgorithm: {beta: 0.1}", "reference_model: no such folder: no/such/one"),
    ],
)
def test_a_reference_without_use_is_named(tmp_path: Path, more: str, said: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"{RL}{more}\n")
    with pytest.raises(ConfigError) as raised:
        load("rl", path)
    assert said in str(raised.value)
