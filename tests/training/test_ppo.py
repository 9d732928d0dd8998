"""PPO on small models: the critic learns, a resumed run is the uninterrupted one, processes and micro-batches change no number."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vlmpost import jsonl
from vlmpost.models.prompts import grown
from vlmpost.models.value_head import FILE_NAME
from vlmpost.runs.directory import open_existing
from vlmpost.runs.resume import open_for_resume
from vlmpost.training.callbacks import SIDE_KEYS
from vlmpost.training.credit.critic import Critic
from vlmpost.training.executor import run_rl
from vlmpost.training.policy import PolicyTrainer

pytestmark = pytest.mark.train
HERE = Path(__file__).parent
TWO_PASSES = {"kind": "ppo", "num_generations": 2, "num_iterations": 2, "beta": 0.02, "kl_in": "reward", "value_learning_rate": 0.01}


@pytest.fixture
def ppo(tiny_model, rl_recipe):
    """Gives `ppo(section__key=value, ...)`: six steps of PPO, two passes over two mini-batches, a KL term in the reward."""

    def make(**changes):
        recipe = {"algorithm": TWO_PASSES, "training__max_steps": 8, "checkpoints": {"save_steps": 4, "save_total_limit": None}}
        return rl_recipe(tiny_model("qwen2_5_vl"), **recipe | changes)

    return make


def _rows(path):
    """The rows of a JSONL file without what tells of the machine."""
    return [{key: value for key, value in row.items() if not key.startswith((*SIDE_KEYS, "attempt"))} for _, row in jsonl.read(path)]


def _figures(run, name):
    return [row[name] for row in _rows(run.metrics_path) if name in row]


def _tensors(folder):
    found = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    return {name: tensor for tensors in found for name, tensor in tensors.items()}


def _equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("lora", [False, True])
def test_a_resumed_run_has_the_weights_the_head_and_the_figures_of_an_uninterrupted_one(lora, ppo, new_run, tmp_path):
    config = ppo(model__use_peft=lora)
    straight = new_run(tmp_path / "straight", config)
    run_rl(config, straight)
    shutil.copytree(straight.path, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut" / "final")
    shutil.rmtree(tmp_path / "cut" / "checkpoints" / "step_000008")
    run = open_for_resume(tmp_path / "cut", config)
    run_rl(config, run, resume=True)
    assert _equal(_tensors(run.final_dir), _tensors(straight.final_dir))
    assert _equal(_tensors(run.checkpoint_path(8)), _tensors(straight.checkpoint_path(8)))
    assert _rows(run.metrics_path) == _rows(straight.metrics_path)
    assert _rows(run.rollouts_path) == _rows(straight.rollouts_path)
    heads = [load_file(straight.checkpoint_path(step) / FILE_NAME)["layers.0.weight"] for step in (4, 8)]
    assert heads[0].abs().sum() > 0 and not torch.equal(*heads)
    assert not (straight.final_dir / FILE_NAME).exists()


def test_the_critic_of_the_nano_vlm_learns_what_every_answer_earns(rl_recipe, new_run, tmp_path):
    # Rewards of 1 and no discount: every return is 1. The head starts at 0: the first value loss is (0 - 1)^2 / 2.
    config = rl_recipe(
        "nano",
        rewards=[{"name": f"{HERE / 'turn_rewards.py'}:one"}],
        algorithm={
            "kind": "ppo",
            "num_generations": 2,
            "lam": 1.0,
            "cliprange_value": None,
            "value_learning_rate": 3e-3,
            "vf_coef": 1.0,
        },
        training={"learning_rate": 1e-5, "prompts_per_step": 2, "max_steps": 8, "lr_scheduler_type": "constant"},
    )
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    losses = _figures(run, "value_loss")
    assert losses[0] == pytest.approx(0.5)
    assert losses[1] < losses[0] and losses[2] < losses[1]
    assert losses[-1] < 0.1
    assert _figures(run, "return") == pytest.approx([1.0] * 8)
    assert _figures(run, "value")[0] == 0


def test_the_policy_stays_as_it_is_while_the_value_head_warms_up(ppo, new_run, tmp_path):
    config = ppo(algorithm=TWO_PASSES | {"num_value_warmup_steps": 4})
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    start = new_run(tmp_path / "start", config)
    untouched = ppo(algorithm=TWO_PASSES | {"num_value_warmup_steps": 8})
    run_rl(untouched, start)
    warm = [load_file(run.checkpoint_path(4) / name) for name in ("model.safetensors", FILE_NAME)]
    cold = [load_file(start.checkpoint_path(8) / name) for name in ("model.safetensors", FILE_NAME)]
    assert _equal(warm[0], cold[0])
    assert not _equal(warm[1], cold[1])
    assert not _equal(load_file(run.checkpoint_path(8) / "model.safetensors"), cold[0])


def _by_hand(model, head, batch, *, vf_coef):
    """The loss of one optimizer step of TWO_PASSES from plain logits and hidden states, token by token: clips 0.2, no KL in it."""
    total, known = 0.0, batch.experience.tensors
    for row, (owner, completion) in enumerate(zip(batch.experience.owners, batch.experience.completions, strict=True)):
        prompt = batch.experience.prompts[owner]
        inputs = grown(prompt, completion)
        fields = dict(inputs.images) | {name: types[None] for name, types in inputs.token_types.items()}
        out = model(input_ids=torch.tensor([inputs.token_ids]), output_hidden_states=True, **fields)
        for place, token in enumerate(completion):
            before = len(prompt.token_ids) + place - 1
            logp = torch.log_softmax(out.logits[0, before], 0)[token]
            ratio = float(torch.exp(logp - known["old_logps"][row, place]))
            advantage = float(known["advantages"][row, place])
            policy = -min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage)
            value = float(head(out.hidden_states[-1][0, before]))
            old, target = float(known["old_values"][row, place]), float(known["returns"][row, place])
            held = old + min(max(value - old, -0.2), 0.2)
            value_loss = max((value - target) ** 2, (held - target) ** 2) / 2
            total += policy / batch.totals.num_items + vf_coef * value_loss / batch.num_values
    return total


def test_the_loss_is_the_one_worked_out_token_by_token(ppo, new_run, tmp_path, monkeypatch):
    pairs = []
    compute = PolicyTrainer.compute_loss

    def watched(self, model, inputs, *args, **kwargs):
        loss = compute(self, model, inputs, *args, **kwargs)
        with torch.no_grad():
            pairs.append((float(loss), _by_hand(self.model, self.critic.head, inputs, vf_coef=0.5)))
        return loss

    monkeypatch.setattr(PolicyTrainer, "compute_loss", watched)
    config = ppo(algorithm=TWO_PASSES | {"vf_coef": 0.5}, training__per_device_train_batch_size=None, training__max_steps=4)
    run_rl(config, new_run(tmp_path / "run", config))
    ours, by_hand = zip(*pairs, strict=True)
    assert len(ours) == 4 and len(set(ours)) == 4
    assert ours == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize("num_iterations", [1, 2])
def test_the_size_of_the_forward_passes_changes_no_loss(num_iterations, ppo, new_run, tmp_path):
    losses = {}
    for size in (1, None):
        algorithm = TWO_PASSES | {"num_iterations": num_iterations}
        config = ppo(algorithm=algorithm, training__per_device_train_batch_size=size, training__num_mini_batches=1)
        run = new_run(tmp_path / f"by_{size}", config)
        run_rl(config, run)
        losses[size] = _figures(run, "loss")
    assert losses[1] == pytest.approx(losses[None], abs=1e-5)
    assert len(set(losses[1])) > 1


def test_two_processes_give_the_losses_of_one(ppo, new_run, tmp_path):
    config = ppo(training__per_device_train_batch_size=None)
    one = new_run(tmp_path / "one", config)
    run_rl(config, one)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", port]
    process = subprocess.run(
        [*launcher, str(HERE / "drive.py"), "rl", str(tmp_path / "config.json"), str(tmp_path / "two")],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr[:2000]
    two = open_existing(tmp_path / "two")
    for name in ("loss", "value_loss", "advantage_std"):
        assert _figures(two, name) == pytest.approx(_figures(one, name), abs=1e-5), name
    heads = [load_file(run.checkpoint_path(8) / FILE_NAME)["layers.0.weight"] for run in (one, two)]
    assert torch.allclose(heads[0], heads[1], atol=1e-5)


def test_each_reply_of_an_episode_earns_its_own_reward(ppo, new_run, tmp_path, monkeypatch):
    seen = []
    estimate = Critic.estimate

    def watched(self, *args, **kwargs):
        seen.append((kwargs["valued_BC"], estimate(self, *args, **kwargs)))
        return seen[-1][1]

    monkeypatch.setattr(Critic, "estimate", watched)
    config = ppo(
        algorithm={"kind": "ppo", "num_generations": 2, "lam": 1.0, "turn_gamma": 0.25},
        rewards=[{"name": f"{HERE / 'turn_rewards.py'}:number_of_turn"}],
        episode={"verify_iterations": 2},
        training__max_steps=2,
    )
    run_rl(config, new_run(tmp_path / "run", config))
    ((valued, found),) = seen
    assert len(valued) == 4
    for valued_C, returns_C, advantages_C in zip(valued, found.returns_BC, found.advantages_BC, strict=True):
        places = valued_C.nonzero().squeeze(1)
        (gap,) = (places.diff() > 1).nonzero()[0]  # a random model is wrong twice, and the verifier's turn lies between
        # The second reply earns 2 at its end, the first one 1 at its own and a quarter of what follows: 1 + 0.25 * 2 = 1.5.
        assert returns_C[places[: gap + 1]].tolist() == pytest.approx([1.5] * (int(gap) + 1))
        assert returns_C[places[gap + 1 :]].tolist() == pytest.approx([2.0] * (len(places) - int(gap) - 1))
        assert not advantages_C[~valued_C].any()
