"""GRPO on episodes: the tokens that are trained on are the tokens that were sampled, in every family."""

from __future__ import annotations

import pytest

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
    sample, compute_loss = PolicyTrainer._sample, PolicyTrainer.compute_loss

    def note_sample(self, requests):
        completions = sample(self, requests)
        found["asked"].append((list(requests), completions))
        return completions

    def note_loss(self, model, inputs, *args, **kwargs):
        found["trained"].append(inputs.experience)
        return compute_loss(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(PolicyTrainer, "_sample", note_sample)
    monkeypatch.setattr(PolicyTrainer, "compute_loss", note_loss)
    return found


def _trained_rows(experiences):
    """(ids the model reads, which of them carry loss) of every row."""
    rows = []
    for experience in experiences:
        for owner, completion, sampled in zip(experience.owners, experience.completions, experience.tensors["sampled"], strict=True):
            prompt = list(experience.prompts[owner].token_ids)
            rows.append((prompt + list(completion), [0] * len(prompt) + sampled[: len(completion)].int().tolist()))
    return rows


def _chats(asked):
    """(ids the model read and wrote, the ids it wrote) of every chat, put together reply by reply."""
    chats = []
    for requests, completions in asked:
        before, chats = chats, []
        for request, completion in zip(requests, completions, strict=True):
            asked_ids = [*request.prompt.token_ids, *request.history]
            earlier = next((chat for chat in before if asked_ids[: len(chat[0])] == chat[0]), ([], []))
            assert earlier[0] or not request.history, "a later turn must go on from the very tokens of the earlier ones"
            before = [chat for chat in before if chat is not earlier]
            chats.append(([*asked_ids, *completion.token_ids], [*earlier[1], *completion.token_ids]))
        chats += before
    return chats


@pytest.mark.parametrize("family", FAMILIES)
def test_trained_tokens_are_the_sampled_tokens_over_all_turns_images_included(family, tiny_model, rl_recipe, new_run, tmp_path, seen):
    config = rl_recipe(tiny_model(family), **EPISODES)
    run_rl(config, new_run(tmp_path / "run", config))
    assert len(seen["asked"]) == 3 and len(seen["asked"][0][0]) == 4
    chats = _chats(seen["asked"])
    trained = _trained_rows(seen["trained"])
    assert sorted(ids for ids, _ in trained) == sorted(read for read, _ in chats)
    carrying = sorted((ids, [token for token, own in zip(ids, mask, strict=True) if own]) for ids, mask in trained)
    assert carrying == sorted(chats)


def test_evaluation_gives_the_replies_of_training_from_the_same_history_and_seed(
    tiny_model, rl_recipe, new_run, tmp_path, seen, monkeypatch
):
    config = rl_recipe(tiny_model("qwen2_5_vl"), **EPISODES, checkpoints__save_steps=1)
    trainers = []
    made = PolicyTrainer.__init__
    monkeypatch.setattr(PolicyTrainer, "__init__", lambda self, **kwargs: trainers.append(self) or made(self, **kwargs))
    run_rl(config, new_run(tmp_path / "run", config))
    loaded = load(ModelConfig(path=str(tiny_model("qwen2_5_vl")), device="cpu"), purpose="eval")
    _, (requests, replies), *_ = seen["asked"]
    rows = [row.example for row in trainers[0].last_batch.rollouts]
    completions = generate(
        loaded.model,
        loaded.processor,
        [to_messages(example, instruction=None) for example in rows],
        [[open_image(ref) for ref in example.images] for example in rows],
        config=config.generation,
        seeds=[row_seed(config.training.seed, "0/turn1", example.id, place % 2) for place, example in enumerate(rows)],
        histories=[request.history for request in requests],
    )
    assert all(request.history for request in requests)
    assert [completion.token_ids for completion in completions] == [reply.token_ids for reply in replies]


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
