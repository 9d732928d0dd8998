"""Rollouts of one process: prompts asked once, seeds that do not depend on the batch, episodes, and replies that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.config.schema import RlConfig
from vlmpost.data import build
from vlmpost.errors import DataError
from vlmpost.models.completion import Completion
from vlmpost.models.sampling import row_seed
from vlmpost.rewards.sets import RewardSet, Term
from vlmpost.training.dataset import rl_dataset
from vlmpost.training.rollouts.collector import Collector, Hint

HERE = Path(__file__).parents[1]
STOP = 2


class Writer:
    """A sampler that writes its numbers: `lengths` of its completions in turns; it keeps what it was asked."""

    def __init__(self, *lengths, logps=True):
        self.lengths, self.logps, self.rounds = lengths, logps, []

    def __call__(self, requests):
        self.rounds.append(list(requests))
        made = []
        for place, _ in enumerate(requests):
            length = self.lengths[place % len(self.lengths)]
            ids = (*range(10, 10 + length - 1), STOP) if length else ()
            made.append(Completion(ids, "e" * place, "stop", tuple(-0.5 for _ in ids) if self.logps else None))
        return made


@pytest.fixture
def collect(tiny_qwen):
    """Gives `collect(writer, num_examples, num_generations, section=...) -> (collector, rows)`, with a reward of 1 for everything."""
    _, processor = tiny_qwen

    def make(writer, *, num_examples=2, num_generations=2, context_length=4096, anywhere=None, **sections):
        recipe = {
            "data": {"train": [{"task": "card_sums", "num_examples": num_examples}]},
            "rewards": [{"name": "accuracy"}],
            "generation": {"max_completion_length": 8},
        }
        config = RlConfig.model_validate(recipe | sections)
        rewards = RewardSet([Term("one", "one", 1.0, {}, lambda rollout: 1.0, 1.0)])
        collector = Collector(
            config,
            rewards=rewards,
            processor=processor,
            sample=writer,
            score=rewards.score_all,
            stop_ids={STOP},
            context_length=context_length,
            anywhere=anywhere,
        )
        examples, _ = build(config.data.train, data=config.data, base_dir=None)
        dataset = rl_dataset(examples, instruction=None, prompts_per_step=num_examples)
        return collector, [row for index in range(num_examples) for row in [dataset[index]] * num_generations]

    return make


def test_a_prompt_is_encoded_once_for_all_its_completions(collect):
    writer = Writer(3)
    collector, rows = collect(writer)
    found = collector.collect(rows, samples=[0, 1, 0, 1], step=7)
    assert len(found) == 4 and len(found.prompts) == 2 and found.owners == (0, 0, 1, 1) and found.indices == (0, 0, 1, 1)
    (requests,) = writer.rounds
    assert requests[0].prompt is requests[1].prompt is found.prompts[0] and requests[2].prompt is found.prompts[1]
    assert collector.source_of(found.prompts[1]).example_id == rows[2]["example"].id


def test_a_completions_seed_is_of_the_run_the_step_the_example_and_its_place_alone(collect):
    writer = Writer(3)
    collector, rows = collect(writer)
    collector.collect(rows, samples=[0, 1, 0, 1], step=7)
    collector.collect(rows[2:], samples=[0, 1], step=7)
    alone, beside = writer.rounds[1], writer.rounds[0][2:]
    assert [request.seed for request in alone] == [request.seed for request in beside]
    assert alone[1].seed == row_seed(collector.config.training.seed, 7, rows[2]["example"].id, 1)
    assert len({request.seed for request in writer.rounds[0]}) == 4


def test_masks_and_log_probabilities_go_with_the_tokens(collect):
    collector, rows = collect(Writer(3, 1))
    found = collector.collect(rows, samples=[0, 1, 0, 1], step=0)
    assert found.completions == ((10, 11, STOP), (STOP,), (10, 11, STOP), (STOP,))
    assert found.masks == ((1, 1, 1), (1,), (1, 1, 1), (1,))
    assert found.logps == ((-0.5,) * 3, (-0.5,), (-0.5,) * 3, (-0.5,))
    assert [score.total for score in found.batch.scores] == [1.0] * 4


def test_a_sampler_that_tells_no_log_probabilities_leaves_none(collect):
    collector, rows = collect(Writer(2, logps=False))
    assert collector.collect(rows, samples=[0, 1, 0, 1], step=0).logps is None


EPISODES = {
    "data": {"train": [{"task": f"{HERE / 'lucky_task.py'}:Lucky", "num_examples": 2}]},
    "episode": {"verify_iterations": 2},
    "rewards": [{"name": "verifier"}],
}


class Speller(Writer):
    """Says a letter: in the toy task one `e` is odd and wrong, an `a` is right."""

    def __init__(self, processor, letters):
        super().__init__()
        (self.e,), (self.a,) = (processor.tokenizer.encode(letter) for letter in "ea")
        self.letters = letters

    def __call__(self, requests):
        self.rounds.append(list(requests))
        said = self.letters[len(self.rounds) - 1]
        ids = [(getattr(self, letter), STOP) for letter in said]
        return [Completion(own, letter, "stop", (-0.5, -0.25)) for own, letter in zip(ids, said, strict=True)]


def test_only_rows_that_were_wrong_are_asked_again_and_the_environments_tokens_are_masked(collect, tiny_qwen):
    speller = Speller(tiny_qwen[1], ["aeae", "ea"])
    collector, rows = collect(speller, **EPISODES)
    found = collector.collect(rows, samples=[0, 1, 0, 1], step=5)
    assert [len(requests) for requests in speller.rounds] == [4, 2]
    assert [set(mask) for mask in found.masks] == [{1}, {0, 1}, {1}, {0, 1}]
    for row, last in ((1, "e"), (3, "a")):
        ids, mask, logps = found.completions[row], found.masks[row], found.logps[row]
        own = [place for place, sampled in enumerate(mask) if sampled]
        assert own == [0, 1, len(ids) - 2, len(ids) - 1] and len(ids) > 4
        assert [ids[place] for place in own] == [speller.e, STOP, getattr(speller, last), STOP]
        assert [logps[place] for place in own] == [-0.5, -0.25] * 2 and set(logps[2:-2]) == {0.0}
    again = speller.rounds[1]
    assert [request.prompt for request in again] == [found.prompts[0], found.prompts[1]]
    assert [request.history for request in again] == [found.completions[row][:-2] for row in (1, 3)]
    assert again[0].seed == row_seed(collector.config.training.seed, "5/turn1", rows[1]["example"].id, 1)
    assert [len(rollout.steps) for rollout in found.batch.rollouts] == [1, 2, 1, 2]


def test_a_process_that_is_done_keeps_step_while_another_is_not(collect, tiny_qwen):
    answers = iter([True, False])
    speller = Speller(tiny_qwen[1], ["aaaa", "e"])
    collector, rows = collect(speller, anywhere=lambda here: next(answers), **EPISODES)
    found = collector.collect(rows, samples=[0, 1, 0, 1], step=0)
    assert [len(requests) for requests in speller.rounds] == [4, 1]
    assert found.completions == ((speller.a, STOP),) * 4, "a reply that was sampled to keep step was kept"


def test_a_reply_that_does_not_fit_is_refused_by_name(collect):
    collector, rows = collect(Writer(3), context_length=20)
    with pytest.raises(DataError, match=r"tokens before reply 1, and a reply may have 8 .* but the model reads 20"):
        collector.collect(rows, samples=[0, 1, 0, 1], step=0)


def test_a_hint_counts_against_the_budget_of_its_reply_when_the_context_is_checked(collect):
    writer = Writer(3)
    collector, rows = collect(writer, num_examples=1, num_generations=1)
    collector.collect(rows, samples=[0], step=0)
    num_prompt_tokens = len(writer.rounds[0][0].prompt.token_ids)
    hint = [Hint((40, 41, 42, 43, 44), 0.5)]  # 5 tokens of the budget of 8: 3 are left
    collector, rows = collect(Writer(3), num_examples=1, num_generations=1, context_length=num_prompt_tokens + 8)
    assert collector.collect(rows, samples=[0], step=0, hints=hint).completions[0][:5] == hint[0].token_ids
    collector, rows = collect(Writer(3), num_examples=1, num_generations=1, context_length=num_prompt_tokens + 7)
    with pytest.raises(DataError, match=r"tokens before reply 1, and a reply may have 3 "):
        collector.collect(rows, samples=[0], step=0, hints=hint)
