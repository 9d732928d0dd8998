"""GRPO on episodes: the tokens that are trained on are the tokens that were sampled, in every family."""

from __future__ import annotations

import pytest
import torch

from vlmpost import jsonl
from vlmpost.config.schema import ModelConfig
from vlmpost.data.conversation import to_messages
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.models.generation import generate
from vlmpost.models.loader import load
from vlmpost.models.sampling import row_seed
from vlmpost.training.executor import run_rl
from vlmpost.training.policy import PolicyTrainer

FAMILIES = ("gemma3", "idefics3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm")
EPISODES = {
    "episode": {"verify_iterations": 3},
    "rewards": [{"name": "verifier"}],
    "algorithm": {"num_generations": 2},
    "data": {"train": [{"task": "card_sums", "num_examples": 4, "difficulties": [2]}]},
    "training__num_mini_batches": 1,
    "training__max_steps": 1,
}
pytestmark = pytest.mark.train


@pytest.fixture
def seen(monkeypatch):
    """What was asked of the sampler, what it gave, and what the loss was computed on."""
    found = {"asked": [], "trained": []}
    reply, compute_loss = PolicyTrainer._reply, PolicyTrainer.compute_loss

    def note_reply(self, places, turn, prompt_ids, *args, **kwargs):
        completion_ids, logps = reply(self, places, turn, prompt_ids, *args, **kwargs)
        found["asked"].append((turn, list(places), [list(ids) for ids in prompt_ids], completion_ids))
        return completion_ids, logps

    def note_loss(self, model, inputs, *args, **kwargs):
        found["trained"].append({key: value.clone() for key, value in inputs.items() if isinstance(value, torch.Tensor)})
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(PolicyTrainer, "_reply", note_reply)
    monkeypatch.setattr(PolicyTrainer, "compute_loss", note_loss)
    return found


def _trained_rows(inputs_list):
    """(ids the model reads, which of them carry loss) of every row, padding removed."""
    rows = []
    for inputs in inputs_list:
        for row in range(len(inputs["prompt_ids"])):
            prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()].tolist()
            real = inputs["completion_mask"][row].bool()
            own = [0] * len(prompt) + inputs["tool_mask"][row][real].tolist()
            rows.append((prompt + inputs["completion_ids"][row][real].tolist(), own))
    return rows


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_tokens_are_the_sampled_tokens_over_all_turns_images_included(family, tiny_model, rl_recipe, new_run, tmp_path, seen):
    config = rl_recipe(tiny_model(family), **EPISODES)
    run_rl(config, new_run(tmp_path / "run", config))
    sampled: dict[int, list[int]] = {}
    read: dict[int, list[int]] = {}
    for _, places, prompts, replies in seen["asked"]:
        for place, prompt, reply in zip(places, prompts, replies, strict=True):
            sampled.setdefault(place, []).extend(reply)
            if place in read:
                assert prompt[: len(read[place])] == read[place], "a later turn must go on from the very tokens of the earlier ones"
            read[place] = [*prompt, *reply]
    assert sorted({turn for turn, *_ in seen["asked"]}) == [0, 1, 2]
    trained = _trained_rows(seen["trained"])
    assert sorted(ids for ids, _ in trained) == sorted(read.values())
    by_ids = {tuple(ids): own for ids, own in trained}
    for place, ids in read.items():
        carrying = [token for token, own in zip(ids, by_ids[tuple(ids)], strict=True) if own]
        assert carrying == sampled[place]


def test_evaluation_gives_the_replies_of_training_from_the_same_history_and_seed(
    tiny_model, rl_recipe, new_run, tmp_path, seen, monkeypatch
):
    config = rl_recipe(tiny_model("qwen2_5_vl"), **EPISODES, checkpoints__save_steps=1)
    trainers = []
    made = PolicyTrainer.__init__
    monkeypatch.setattr(PolicyTrainer, "__init__", lambda self, **kwargs: trainers.append(self) or made(self, **kwargs))
    run_rl(config, new_run(tmp_path / "run", config))
    loaded = load(ModelConfig(path=str(tiny_model("qwen2_5_vl")), device="cpu"), purpose="eval")
    (_, _, first_prompts, first), (turn, places, prompts, replies), *_ = seen["asked"]
    rows = [trainers[0]._rows[place]["example"] for place in places]
    histories = [prompt[len(first_prompts[place]) :] for place, prompt in zip(places, prompts, strict=True)]
    completions = generate(
        loaded.model,
        loaded.processor,
        [to_messages(example, instruction=None) for example in rows],
        [[open_image(ref) for ref in example.images] for example in rows],
        config=config.generation,
        seeds=[row_seed(config.training.seed, "0/turn1", example.id, place % 2) for example, place in zip(rows, places, strict=True)],
        histories=histories,
    )
    assert turn == 1
    assert [list(completion.token_ids) for completion in completions] == replies
    assert first


def test_a_chat_that_outgrows_the_model_stops_the_run_with_the_example_named(tiny_model, rl_recipe, new_run, tmp_path):
    config = rl_recipe(tiny_model("qwen2_5_vl"), **EPISODES, generation={"max_completion_length": 100_000})
    with pytest.raises(DataError, match=r"Example 'card_sums-train-.* tokens before reply 1, and a reply may have 100000 .* but the model"):
        run_rl(config, new_run(tmp_path / "run", config))


def test_a_run_of_episodes_tells_success_by_attempt_and_keeps_every_reply(tiny_model, rl_recipe, new_run, tmp_path):
    config = rl_recipe(tiny_model("qwen2_5_vl"), **EPISODES, logging={"rollout_steps": 1})
    run = new_run(tmp_path / "run", config)
    run_rl(config, run)
    ((_, metrics),) = jsonl.read(run.metrics_path)
    assert metrics["success"] == 0.0
    assert metrics["replies"] == 3.0
    assert metrics["length_max_tokens"] <= 18, "three replies of at most six tokens; the environment's are not counted"
    rollouts = [row for _, row in jsonl.read(run.rollouts_path)]
    assert all(len(row["steps"]) == 3 for row in rollouts)
    assert all(row["text"] == row["steps"][-1]["text"] for row in rollouts)
    assert all(row["steps"][0]["outcome"] in {"WRONG", "UNPARSED"} for row in rollouts)
