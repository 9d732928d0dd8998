"""Whole guided steps of `vlmpost rl` against the naked script, fed with the same questions and the same answers.

Of a run only the questions of each batch and the tokens of the answers are taken; which question is hinted or learnt from its trace, what
its rows are worth, losses, gradients and the steps of AdamW are made anew by `scripts/naked_guided.py`, from the first weights on.
"""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from vlmpost.config.schema import RlConfig
from vlmpost.training.executor import run_rl
from vlmpost.training.guidance.maker import GuidedMaker
from vlmpost.training.policy import PolicyTrainer

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "scripts")]
import naked_grpo  # noqa: E402
import naked_guided  # noqa: E402
from watching import distance, rows, two_processes  # noqa: E402

pytestmark = pytest.mark.train
BUDGET = 40
WAY_OF = {"progressive": "progressive", "interleaved": "interleaved", "interleaved_joint": "joint", "luffy": "luffy"}


@dataclass
class Asked:
    """One batch of the run: what is known of it from outside."""

    step: int
    examples: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    """In the order of sampling."""


class Watch:
    """The batches of a run, and what each optimizer step came to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[Asked] = []
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.states: list[dict] = []
        make, compute, norm = GuidedMaker.make, PolicyTrainer.compute_loss, PolicyTrainer._get_grad_norm

        def made(maker, rows, *, step):
            size = maker.tools.config.algorithm.num_generations
            batch = Asked(step, [row["example"] for row in rows[::size]])
            self.asked.append(batch)
            result = make(maker, rows, step=step)
            batch.answers = [rollout for part in result.sampled for rollout in part.batch.rollouts]
            return result

        def computed(trainer, model, inputs, *args, **kwargs):
            self.trainer = trainer
            if not self.losses:
                self.first = copy.deepcopy(trained(trainer.model))
            self.states.append(self.state())
            loss = compute(trainer, model, inputs, *args, **kwargs)
            self.losses.append(float(loss.detach()))
            return loss

        def noted(trainer, *args, **kwargs):
            found = norm(trainer, *args, **kwargs)
            self.norms.append(0.0 if found is None else float(found))
            return found

        monkeypatch.setattr(GuidedMaker, "make", made)
        monkeypatch.setattr(PolicyTrainer, "compute_loss", computed)
        monkeypatch.setattr(PolicyTrainer, "_get_grad_norm", noted)

    @property
    def after(self):
        return trained(self.trainer.model)

    def state(self):
        """Weights and moments, as they are now."""
        inner = self.trainer.optimizer.optimizer.state
        moments = [value.clone() for state in inner.values() for value in state.values() if torch.is_tensor(value)]
        return {"weights": list(trained(self.trainer.model).values()), "moments": moments}


def trained(model):
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


def recipe(preset, *, rates=None, **changes):
    """Two easy and two hopeless card sums of the nano VLM, four answers each."""
    guidance = {"preset": preset, **changes.pop("guidance", {})}
    if rates is not None:
        guidance["pass_rate"] = {"source": "table", "path": str(rates)}
    loss_type = "dr_grpo" if preset == "luffy" else "dapo"
    training = {"learning_rate": 1e-4, "lr_scheduler_type": "constant", "prompts_per_step": 4, "max_steps": 2}
    return RlConfig.model_validate(
        {
            "model": {"path": "nano", "device": "cpu"} | changes.pop("model", {}),
            "data": {"train": [{"task": "card_sums", "num_examples": 2, "difficulties": [level]} for level in (2, 5)]},
            "rewards": [{"name": "accuracy"}],
            "algorithm": {
                "num_generations": 4,
                "loss_type": loss_type,
                "beta": 0.0,
                "scale_rewards": "none" if preset == "luffy" else "group",
            }
            | changes.pop("algorithm", {}),
            "generation": {"max_completion_length": BUDGET} | changes.pop("generation", {}),
            "training": training | changes.pop("training", {}),
            "checkpoints": {"save_steps": 100},
            "guidance": guidance,
            **changes,
        }
    )


def naked_model(watch, config):
    """The model as it was before the first step, and its processor."""
    model, processor = naked_grpo.load()
    if config.model.use_peft:
        held = watch.trainer.model.peft_config["default"]
        targets = {name: getattr(held, name) for name in ("r", "lora_alpha", "target_modules", "lora_dropout", "modules_to_save")}
        model = get_peft_model(model, LoraConfig(**targets))
    for name, value in model.named_parameters():
        value.requires_grad_(name in watch.first)
        if name in watch.first:
            value.data.copy_(watch.first[name])
    return model, processor


def rows_of(batch, config, processor, way, rates, *, num_steps):
    """(rows of the steps on answers, rows of the step on traces) of a recorded batch; what is known of pass rates is added to."""
    scale, size = config.algorithm.scale_rewards, config.algorithm.num_generations
    left, on_answers, on_traces = list(batch.answers), [], []
    tried = {}
    for place, example in enumerate(batch.examples):
        trace = naked_guided.trace_of(processor, example)
        right, num = rates.get(example.id, (0, 0))
        never = way == "progressive" and num and not right
        hint = naked_guided.hint_length(len(trace), batch.step, num_steps) if never else 0
        answers = []
        if hint < len(trace):
            rollouts, left = left[:size], left[size:]
            assert {rollout.example.id for rollout in rollouts} == {example.id}
            answers = [rollout.token_ids for rollout in rollouts]
            assert all(ids[:hint] == trace[:hint] for ids in answers)
            if not hint:
                tried[example.id] = int(naked_guided.rewards_of(processor, example, answers).sum()), len(answers)
        parts = naked_guided.rows_of_question(way, processor, place, example, answers, hint, scale)
        on_answers, on_traces = on_answers + parts[0], on_traces + parts[1]
    assert not left
    for name, (right, num) in tried.items():
        rates[name] = (rates.get(name, (0, 0))[0] + right, rates.get(name, (0, 0))[1] + num)
    return on_answers, on_traces


def held_against_the_script(watch, config, *, rates=None, kept=lambda rows: rows):
    """Runs the recorded batches again by hand; (losses, norms, weights) at the end."""
    way, algorithm, training = WAY_OF[config.guidance.preset], config.algorithm, config.training
    model, processor = naked_model(watch, config)
    reference = copy.deepcopy(model).requires_grad_(False)
    weights = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=training.learning_rate, weight_decay=training.weight_decay)
    known = dict(rates or {})
    losses, norms = [], []
    for batch in watch.asked:
        with torch.no_grad():
            rollouts, traces = rows_of(batch, config, processor, way, known, num_steps=training.max_steps)
        parts = [
            [row for row in kept(rollouts) if row.place % training.num_mini_batches == part] for part in range(training.num_mini_batches)
        ]
        with torch.no_grad():
            old = [naked_guided.row_logps(model, processor, part) if part else None for part in parts]
            ref = [naked_guided.row_logps(reference, processor, part) if part else None for part in parts]
        steps = [(part, *pair) for _ in range(algorithm.num_iterations) for part, *pair in zip(parts, old, ref, strict=True)]
        steps += [(traces, None, None)] if config.guidance.steps.kind == "alternate" else []
        for part, old_logps, ref_logps in steps:
            if len(losses) == training.max_steps:
                break
            if not part:
                losses, norms = [*losses, 0.0], [*norms, 0.0]
                continue
            loss = naked_guided.loss_of(
                way,
                part,
                naked_guided.row_logps(model, processor, part),
                old_logps_BC=old_logps,
                ref_logps_BC=ref_logps,
                beta=algorithm.beta if old_logps is not None else 0.0,
                loss_type=algorithm.loss_type,
                max_completion_length=config.generation.max_completion_length,
            )
            losses, norms = [*losses, float(loss.detach())], [*norms, naked_guided.update(model, optimizer, loss)]
    return losses, norms, trained(model)


def assert_same(watch, config, **more):
    losses, norms, weights = held_against_the_script(watch, config, **more)
    assert len(losses) == config.training.max_steps
    assert watch.losses == pytest.approx(losses, rel=1e-5, abs=1e-6)
    assert watch.norms == pytest.approx(norms, rel=1e-5, abs=1e-6)
    first = watch.first
    moved = {name: watch.after[name] - first[name] for name in first}
    assert distance(moved, {name: weights[name] - first[name] for name in first}) < 1e-3, "the way the weights went"
    assert distance(watch.after, weights) < 1e-6
    assert any(norm > 0 for norm in norms)


def stored_rates(folder, names):
    """A file of stored rates: each question was tried eight times and never solved."""
    path = folder / "rates.jsonl"
    path.write_text("".join(json.dumps({"id": name, "num_right": 0, "num_tried": 8}) + "\n" for name in names))
    return path


HARD = [f"card_sums-train-s0-d5-00000{number}" for number in range(4)]
HARD_ONLY = {"train": [{"task": "card_sums", "num_examples": 4, "difficulties": [5]}]}
TOO_SHORT = {"generation": {"max_completion_length": 4}}
"""No answer is right."""
ENGINE_OFF = {"training": {"shared_prompt": "off"}}
LORA = {"model": {"use_peft": True}}
CASES = {
    "progressive": ("progressive", {}),
    "interleaved": ("interleaved", {}),
    "joint": ("interleaved_joint", {}),
    "luffy": ("luffy", {}),
    "progressive, prompts read anew": ("progressive", ENGINE_OFF),
    "interleaved, prompts read anew": ("interleaved", ENGINE_OFF),
    "joint, adapters": ("interleaved_joint", LORA),
    "luffy, adapters, prompts read anew": ("luffy", LORA | ENGINE_OFF),
    "progressive, a row in each pass": ("progressive", {"training": {"per_device_train_batch_size": 1}}),
    "luffy, recomputed activations": ("luffy", {"training": {"gradient_checkpointing": True}}),
    "progressive, distance to the reference": ("progressive", {"algorithm": {"beta": 0.05}}),
    "joint, distance to the reference": ("interleaved_joint", {"algorithm": {"beta": 0.05}}),
    "joint, two mini-batches": ("interleaved_joint", {"training": {"num_mini_batches": 2}, "algorithm": {"loss_type": "grpo"}}),
    "interleaved, two passes over a batch": ("interleaved", {"training": {"max_steps": 3}, "algorithm": {"num_iterations": 2}}),
    "progressive, hints alone": ("progressive", {"data": HARD_ONLY}),
    "interleaved, all replaced": ("interleaved", TOO_SHORT),
    "joint, all replaced": ("interleaved_joint", TOO_SHORT),
}


@pytest.mark.parametrize("case", list(CASES))
def test_whole_steps_are_those_of_the_naked_script(case, new_run, tmp_path, watch):
    preset, changes = CASES[case]
    rates = dict.fromkeys(HARD if "data" in changes else HARD[:2], (0, 8)) if preset == "progressive" else None
    config = recipe(preset, rates=rates and stored_rates(tmp_path, rates), **copy.deepcopy(changes))
    run_rl(config, new_run(tmp_path / "run", config))
    assert_same(watch, config, rates=rates)


def test_a_step_on_rollouts_that_are_all_replaced_is_none(new_run, tmp_path, watch):
    config = recipe("interleaved", **TOO_SHORT)
    run_rl(config, new_run(tmp_path / "run", config))
    assert watch.norms[0] == 0.0 < watch.norms[1]
    assert_untouched(watch.states[0], watch.states[1])


def test_a_step_without_traces_leaves_weights_and_moments_as_they_are(new_run, tmp_path, watch):
    training = {"max_steps": 3, "weight_decay": 0.1}
    config = recipe("interleaved", guidance={"gate": {"delay_steps": 100}}, training=training)
    run_rl(config, new_run(tmp_path / "run", config))
    assert watch.norms[0] > 0.0 == watch.norms[1]
    assert watch.states[1]["moments"]
    assert_untouched(watch.states[1], watch.states[2])


def assert_untouched(before, after):
    for name in ("weights", "moments"):
        assert len(before[name]) == len(after[name])
        assert all(torch.equal(*pair) for pair in zip(before[name], after[name], strict=True))


def test_cut_answers_leave_the_loss_and_traces_stay(new_run, tmp_path, watch):
    algorithm = {"mask_truncated_completions": True}
    config = recipe("interleaved_joint", algorithm=algorithm, generation={"max_completion_length": 20})
    run_rl(config, new_run(tmp_path / "run", config))
    stops = [rollout.stop_reason for batch in watch.asked for rollout in batch.answers]
    assert {"stop", "length"} == set(stops)
    end = watch.trainer.processing_class.tokenizer.eos_token_id
    assert_same(watch, config, kept=lambda rows: [row for row in rows if row.is_trace or row.tokens[-1] == end])


def test_flat_groups_leave_the_loss_and_traces_stay(new_run, tmp_path, watch):
    config = recipe("interleaved_joint", signal={"drop_flat_groups": True})
    run_rl(config, new_run(tmp_path / "run", config))
    assert_same(watch, config, kept=lambda rows: [row for row in rows if row.is_trace or row.advantage])


def test_a_process_whose_only_question_is_a_hint_goes_along_with_one_that_samples(new_run, tmp_path, watch):
    data = {"train": [{"task": "card_sums", "num_examples": 1, "difficulties": [level]} for level in (2, 5)]}
    config = recipe("progressive", rates=stored_rates(tmp_path, HARD[:1]), data=data, training={"prompts_per_step": 2, "max_steps": 3})
    alone = new_run(tmp_path / "alone", config)
    run_rl(config, alone)
    assert [len(batch.answers) for batch in watch.asked] == [4, 8, 8], "at first the hint is the whole trace"
    together = two_processes(config, tmp_path / "together")
    weights = [load_file(run.path / "final" / "model.safetensors") for run in (alone, together)]
    assert distance(weights[1], weights[0]) < 1e-6
    assert [row["text"] for row in rows(alone.rollouts_path)] == [row["text"] for row in rows(together.rollouts_path)]
