"""One optimizer step of the trainer against the naked scripts, and several against plain TRL fed with the same completions."""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText
from trl import GRPOConfig, GRPOTrainer

from vlmpost.config.schema import ModelConfig
from vlmpost.models.loader import load_processor
from vlmpost.models.prompts import collate
from vlmpost.training.executor import run_rl
from vlmpost.training.policy import PolicyTrainer
from vlmpost.training.update.experience import completion_mask, padded

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import naked_grpo
import naked_ppo

pytestmark = pytest.mark.train
HERE = Path(__file__).parent
LOSS_TYPES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo")
ONE_STEP = {
    "rewards": [{"name": f"{HERE / 'length_reward.py'}:vowels"}],
    "training": {
        "learning_rate": 1e-3,
        "lr_scheduler_type": "constant",
        "prompts_per_step": 2,
        "max_steps": 1,
        "max_grad_norm": 1e9,
        "shared_prompt": "off",
    },
    "generation": {"max_completion_length": 9},
    "checkpoints": {"save_steps": 100},
}


class Watch:
    """What went into the last optimizer step of a run, and what came out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trainer: PolicyTrainer | None = None
        self.batches, self.losses, self.gradients = [], [], {}
        compute, norm = PolicyTrainer.compute_loss, PolicyTrainer._get_grad_norm

        def watched(trainer, model, inputs, *args, **kwargs):
            self.trainer = trainer
            self.before = copy.deepcopy({name: value.detach() for name, value in trainer.model.named_parameters()})
            self.batches.append(inputs)
            loss = compute(trainer, model, inputs, *args, **kwargs)
            self.losses.append(float(loss))
            return loss

        def noted(trainer, *args, **kwargs):
            found = trainer.model.named_parameters()
            self.gradients = {name: value.grad.clone() for name, value in found if value.grad is not None}
            return norm(trainer, *args, **kwargs)

        monkeypatch.setattr(PolicyTrainer, "compute_loss", watched)
        monkeypatch.setattr(PolicyTrainer, "_get_grad_norm", noted)

    def rewound(self):
        """The model as it was before the step, without TRL's and the critic's forward passes, and its inputs."""
        model = self.trainer.model
        for name, value in model.named_parameters():
            value.data.copy_(self.before[name])
            value.grad = None
        experience = self.batches[-1].experience
        prompts = [experience.prompts[owner] for owner in experience.owners]
        inputs = collate(prompts, pad_token_id=0)
        return model, inputs, padded(experience.completions, dtype=torch.int64), completion_mask(experience.completions)


@pytest.fixture
def watch(monkeypatch):
    return Watch(monkeypatch)


def _distance(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The norm of the difference of all tensors over their norm."""
    assert ours.keys() == theirs.keys()
    difference = sum(float((ours[name] - theirs[name]).double().square().sum()) for name in ours)
    return (difference / sum(float(value.double().square().sum()) for value in theirs.values())) ** 0.5


def _step_by_hand(model, loss, learning_rate):
    """Gradients and weights after one step of plain AdamW."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=learning_rate, weight_decay=0.0)
    optimizer.zero_grad()
    loss.backward()
    gradients = {name: value.grad.clone() for name, value in trained.items() if value.grad is not None}
    optimizer.step()
    return gradients, {name: value.detach().clone() for name, value in trained.items()}


@pytest.mark.parametrize("beta", [0.0, 0.05])
@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_a_grpo_step_is_that_of_the_naked_script(loss_type, beta, tiny_model, rl_recipe, new_run, tmp_path, watch):
    level = "sequence" if loss_type == "luspo" else "token"
    algorithm = {"num_generations": 4, "beta": beta, "loss_type": loss_type, "importance_sampling_level": level}
    config = rl_recipe(tiny_model("qwen2_5_vl"), algorithm=algorithm, **ONE_STEP)
    run_rl(config, new_run(tmp_path / "run", config))
    after = {name: value.detach().clone() for name, value in watch.trainer.model.named_parameters() if value.requires_grad}
    model, inputs, completions, mask = watch.rewound()
    known = watch.batches[-1].experience.tensors
    advantages = naked_grpo.advantages(_rewards(watch.trainer), torch.ones(1), 4)
    assert torch.allclose(known["advantages"], advantages, rtol=1e-6, atol=1e-7) and advantages.any()
    logps = naked_grpo.completion_logps(model, inputs, completions, mask)
    reference = logps.detach()  # the reference is the model that training starts from
    loss = naked_grpo.policy_loss(loss_type, logps, logps.detach(), advantages, mask, reference, beta, level, max_completion_length=9)
    assert watch.losses[-1] == pytest.approx(float(loss), rel=1e-6, abs=1e-7)
    gradients, weights = _step_by_hand(model, loss, 1e-3)
    assert _distance(watch.gradients, gradients) < 1e-6
    assert _distance(after, weights) < 1e-6


def _rewards(trainer):
    """Of the last batch, [B, 1], as the one reward gives them."""
    return torch.tensor([[score.total] for score in trainer.last_batch.scores])


def test_a_ppo_step_is_that_of_the_naked_script(tiny_model, rl_recipe, new_run, tmp_path, watch):
    algorithm = {"kind": "ppo", "num_generations": 2, "beta": 0.05, "kl_in": "reward", "vf_coef": 0.3, "num_iterations": 2}
    recipe = ONE_STEP | {"training": ONE_STEP["training"] | {"max_steps": 2}}
    config = rl_recipe(tiny_model("qwen2_5_vl"), algorithm=algorithm, **recipe)
    run_rl(config, new_run(tmp_path / "run", config))
    trainer = watch.trainer
    after = {name: value.detach().clone() for name, value in trainer.model.named_parameters() if value.requires_grad}
    model, inputs, completions, mask = watch.rewound()  # the second pass over the batch: ratios have left 1
    known = watch.batches[-1].experience.tensors
    scores = _rewards(trainer)[:, 0]
    rewards = naked_ppo.token_rewards(scores, known["old_logps"], known["ref_logps"], mask, 0.05)
    estimated = naked_ppo.gae(rewards, known["old_values"], mask, gamma=1.0, lam=0.95)
    assert torch.allclose(known["returns"], estimated + known["old_values"], rtol=1e-6, atol=1e-7)
    assert torch.allclose(known["advantages"], naked_ppo.whitened(estimated, mask), rtol=1e-5, atol=1e-6)
    longer = naked_grpo.continued(inputs, completions, mask)
    hidden = model.model(**longer).last_hidden_state[:, -completions.shape[1] - 1 : -1]
    logps = naked_grpo.token_logps(model.lm_head(hidden), completions)
    values = trainer.critic.head(hidden).view(mask.shape) * mask
    policy = naked_ppo.policy_loss(logps, known["old_logps"], known["advantages"], mask, 0.2)
    value = naked_ppo.value_loss(values, known["old_values"], known["returns"], mask, 0.2)
    loss = policy + 0.3 * value
    assert watch.losses[-1] == pytest.approx(float(loss), rel=1e-6, abs=1e-7)
    gradients, _ = _step_by_hand(model, loss, 1e-3)
    assert _distance(watch.gradients, gradients) < 1e-6
    assert _distance(after, {name: watch.before[name] for name in after}) > 1e-4


def test_the_log_probabilities_of_sampling_are_those_without_dropout(tiny_model, rl_recipe, new_run, tmp_path, watch):
    training = ONE_STEP["training"] | {"max_steps": 3, "learning_rate": 0.02, "num_mini_batches": 2}
    adapter = {"model__use_peft": True, "model__lora_dropout": 0.5}
    config = rl_recipe(tiny_model("qwen2_5_vl"), algorithm={"num_generations": 4}, **ONE_STEP | {"training": training}, **adapter)
    run_rl(config, new_run(tmp_path / "run", config))
    old = watch.batches[-1].experience.tensors["old_logps"]  # of a new batch, and with adapters that two steps have moved
    model, inputs, completions, mask = watch.rewound()
    with torch.no_grad():
        dropped = naked_grpo.completion_logps(model.train(), inputs, completions, mask) * mask
        whole = naked_grpo.completion_logps(model.eval(), inputs, completions, mask) * mask
    assert torch.allclose(old, whole, rtol=0, atol=1e-5)
    assert (old - dropped).abs().max() > 0.01


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "vespo"])
def test_three_steps_are_those_of_plain_trl_fed_with_the_same_completions(loss_type, tiny_model, rl_recipe, new_run, tmp_path, watch):
    folder = tiny_model("qwen2_5_vl")
    recipe = ONE_STEP | {"training": ONE_STEP["training"] | {"max_steps": 3, "learning_rate": 1e-4}}
    algorithm = {"num_generations": 2, "beta": 0.02, "loss_type": loss_type}
    config = rl_recipe(folder, algorithm=algorithm, **recipe)
    run_rl(config, new_run(tmp_path / "run", config))
    ours = watch.trainer
    fed = iter([batch.experience for batch in watch.batches])

    def rollouts(prompts, trainer):
        experience = next(fed)
        asked = [list(experience.prompts[owner].token_ids) for owner in experience.owners]
        return {"prompt_ids": asked, "completion_ids": [list(ids) for ids in experience.completions], "logprobs": None}

    def vowels(completions, **kwargs):
        texts = [completion[0]["content"] for completion in completions]
        return [sum(letter in "aeiou" for letter in text) / max(1, len(text)) for text in texts]

    arguments = GRPOConfig(
        **{name: getattr(ours.args, name) for name in PASSED},
        output_dir=str(tmp_path / "trl"), max_steps=3, bf16=False, use_cpu=True, gradient_checkpointing=False, report_to="none",
        disable_tqdm=True, save_strategy="no", logging_steps=1, log_multimodal=False, dataloader_pin_memory=False,
        reward_weights=[1.0],
    )  # fmt: skip
    theirs = GRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(folder),
        reward_funcs=vowels,
        args=arguments,
        train_dataset=ours.train_dataset,
        processing_class=load_processor(ModelConfig(path=str(folder))),
        rollout_func=rollouts,
    )
    for name, value in theirs.model.named_parameters():
        value.requires_grad_(dict(ours.model.named_parameters())[name].requires_grad)
    theirs.train()
    losses = [row["loss"] for row in theirs.state.log_history if "loss" in row]
    assert watch.losses == pytest.approx(losses, rel=1e-6, abs=1e-6)
    weights = [{name: value.detach() for name, value in trainer.model.named_parameters()} for trainer in (ours, theirs)]
    assert _distance(*weights) < 1e-6


PASSED = (
    "beta", "loss_type", "num_generations", "num_iterations", "per_device_train_batch_size", "gradient_accumulation_steps",
    "max_completion_length", "learning_rate", "lr_scheduler_type", "max_grad_norm", "seed", "epsilon", "epsilon_high", "scale_rewards",
    "importance_sampling_level", "remove_unused_columns", "shuffle_dataset",
)  # fmt: skip
