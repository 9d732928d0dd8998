"""Guided batches, row by row: which question got a hint or a trace, which of its tokens has which role, and what that is worth.

The policy is a script: it says for each question what its rollouts are. Everything else is real: the nano VLM's processor, drawn
questions with their solutions, the judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch

from vlmpost import rewards
from vlmpost.config.schema import ModelConfig, RlConfig, SourceConfig
from vlmpost.data import collect
from vlmpost.errors import ConfigError, DataError
from vlmpost.models import loader
from vlmpost.models.completion import Completion, finished
from vlmpost.training.dataset import rl_dataset
from vlmpost.training.experience_makers import Tools
from vlmpost.training.guidance.maker import GuidedMaker, Guides
from vlmpost.training.guidance.pass_rates import PassRates
from vlmpost.training.guidance.traces import TraceStore
from vlmpost.training.rollouts.collector import Collector

END = 428
FIRST_TRACE = (436, 21, 437, 268, 90, 21, 92, END)
"""`<think>6</think>\\boxed{6}` and the end of the turn."""
SECOND_TRACE = (436, 17, 11, 304, 20, 28, 22, 437, 268, 90, 22, 92, END)
"""`<think>2, +5=7</think>\\boxed{7}` and the end of the turn."""
FIRST, SECOND = "card_sums-train-s0-d1-000000", "card_sums-train-s0-d2-000001"
HINT, GENERATED, TRACE = 1, 2, 3


@dataclass
class OneProcess:
    """What one process does with itself."""

    count: int = 1
    index: int = 0

    def gather(self, rows):
        return rows

    def gather_objects(self, objects):
        return objects

    def anywhere(self, here):
        return here


@pytest.fixture(scope="module")
def processor():
    return loader.load_processor(ModelConfig())


class Script:
    """A policy that writes what it is told: `replies[example id]` in turns, the same behind a hint unless `hinted` says otherwise."""

    def __init__(self, processor, replies, hinted=None):
        self.tokenizer, self.replies, self.hinted = processor.tokenizer, replies, hinted or {}
        self.asked = []
        self.collector = None

    def __call__(self, requests):
        self.asked.append(list(requests))
        made, seen = [], {}
        for request in requests:
            name = self.collector.source_of(request.prompt).example_id
            texts = self.hinted.get(name, self.replies[name]) if request.history else self.replies[name]
            number = seen.get(name, 0)
            seen[name] = number + 1
            ids = [*self.tokenizer(texts[number % len(texts)], add_special_tokens=False)["input_ids"], END]
            ids = ids[: request.max_tokens] if request.max_tokens else ids
            made.append(finished(ids, [-0.5] * len(ids), num_prompt_tokens=1, ends={END}, tokenizer=self.tokenizer))
        assert all(isinstance(one, Completion) for one in made)
        return made


class Bench:
    """A maker over two card sums, with what it was asked and what it knows."""

    def __init__(self, processor, replies, *, guidance, hinted=None, rates=(), num_generations=2, num_steps=100, **sections):
        recipe = {
            "data": {"train": [{"task": "card_sums", "num_examples": 2}]},
            "rewards": [{"name": "accuracy", "weight": 0.9}, {"name": "format", "weight": 0.1}],
            "algorithm": {"num_generations": num_generations, "scale_rewards": "none"},
            "generation": {"max_completion_length": 32},
            "training": {"prompts_per_step": 2},
            "guidance": guidance,
        }
        self.config = RlConfig.model_validate(recipe | sections)
        examples, _ = collect([SourceConfig(task="card_sums", num_examples=2)], base_dir=None)
        reward_set = rewards.build(self.config.rewards, max_completion_length=32, pixel_budget=None)
        self.script = Script(processor, replies, hinted)
        collector = Collector(
            self.config,
            rewards=reward_set,
            processor=processor,
            sample=self.script,
            score=reward_set.score_all,
            stop_ids={END},
            context_length=4096,
        )
        self.script.collector = collector
        self.dataset = rl_dataset(examples, instruction=None, prompts_per_step=2)
        tools = Tools(
            config=self.config,
            rewards=reward_set,
            collector=collector,
            estimator=None,
            processes=OneProcess(),
            device=torch.device("cpu"),
            scored=lambda experience, logps: experience,
            with_reference=lambda experience: experience,
            samples=lambda count: list(range(count)),
        )
        self.rates = PassRates()
        for example_id, right, tried in rates:
            self.rates.add(example_id, num_right=right, num_tried=tried)
        traces = TraceStore(self.config.guidance.traces, examples, processor=processor, max_tokens=32)
        self.maker = GuidedMaker(
            tools,
            Guides(self.config.guidance, traces, self.rates),
            dataset=self.dataset,
            num_steps=lambda: num_steps,
            cycle_steps=1,
            keeps_step=False,
        )

    def make(self, *, step=0):
        rows = [self.dataset[index] for index in (0, 1) for _ in range(self.config.algorithm.num_generations)]
        return self.maker.make(rows, step=step)


def rows_of(made):
    """Each row as (tokens, roles, tokens with the policy loss), padding cut off."""
    known = made.experience.tensors
    return [
        (ids, tuple(known["roles"][row, : len(ids)].tolist()), tuple(known["sampled"][row, : len(ids)].int().tolist()))
        for row, ids in enumerate(made.experience.completions)
    ]


RIGHT_FIRST = "\\boxed{6}"
WRONG_FIRST = "\\boxed{5}"
RIGHT_IDS, WRONG_IDS = (268, 90, 21, 92, END), (268, 90, 20, 92, END)
LEARNT_HINT = [{"role": "generated", "loss": "policy"}, {"role": "hint", "loss": "cross_entropy"}]
SOLVED_FIRST_ONLY = {FIRST: [RIGHT_FIRST, WRONG_FIRST], SECOND: [WRONG_FIRST, WRONG_FIRST]}


def test_the_trace_of_a_question_that_no_rollout_solves_stands_in_for_its_rollouts(processor):
    made = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "interleaved_joint"}).make()
    assert rows_of(made) == [
        (RIGHT_IDS, (GENERATED,) * 5, (1,) * 5),
        (WRONG_IDS, (GENERATED,) * 5, (1,) * 5),
        (SECOND_TRACE, (TRACE,) * 13, (0,) * 13),
    ]
    known = made.experience.tensors
    assert known["groups"].tolist() == [0, 0, 1]
    assert known["rollout_rows"].tolist() == [True, True, False]
    # rewards 0.9 and 0 about their mean of 0.45; a trace that nothing compares has no advantage
    assert known["advantages"].tolist() == pytest.approx([0.45, -0.45, 0.0])
    assert not known["in_trace_step"].any()


def test_alternate_leaves_traces_to_a_step_of_their_own(processor):
    made = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "interleaved"}).make()
    assert made.experience.tensors["in_trace_step"].tolist() == [False, False, True]


def test_zero_pass_is_of_accuracy_and_not_of_reward(processor):
    formatted_but_wrong = "<think>5</think>\\boxed{5}"
    replies = {FIRST: [RIGHT_FIRST], SECOND: [formatted_but_wrong]}
    made = Bench(processor, replies, guidance={"preset": "interleaved_joint"}).make()
    assert [score.total for score in made.batch.scores][2:] == pytest.approx([0.1, 0.1])  # the format is rewarded
    assert made.experience.completions[2:] == (SECOND_TRACE,)


def test_rollouts_that_are_replaced_are_still_shown_and_counted(processor):
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "interleaved_joint"})
    made = bench.make()
    assert [rollout.example.id for rollout in made.batch.rollouts] == [FIRST, FIRST, SECOND, SECOND]
    assert bench.rates.counts(FIRST) == (1, 2)
    assert bench.rates.counts(SECOND) == (0, 2)


def test_the_whole_trace_as_a_hint_leaves_nothing_to_generate(processor):
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "progressive"}, rates=[(FIRST, 1, 8), (SECOND, 0, 8)])
    made = bench.make(step=0)  # until 5 % of the steps the share is 1
    assert rows_of(made) == [
        (RIGHT_IDS, (GENERATED,) * 5, (1,) * 5),
        (WRONG_IDS, (GENERATED,) * 5, (1,) * 5),
        (SECOND_TRACE, (HINT,) * 13, (0,) * 13),
    ]
    assert made.experience.tensors["row_weights"].tolist() == [1.0, 1.0, 1.0]
    assert made.experience.tensors["rollout_rows"].tolist() == [True, True, False]
    assert len(bench.script.asked[0]) == 2, "the second question is not sampled"


def test_a_prefix_is_cut_on_the_stored_tokens_and_counts_once_for_its_question(processor):
    half = {"preset": "progressive", "hint": {"share": 0.5}}
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance=half, hinted={SECOND: ["5=7\\boxed{7}", "\\boxed{1}"]}, rates=[(SECOND, 0, 8)])
    made = bench.make()
    prefix = SECOND_TRACE[:7]  # round(0.5 x 13) = 7, halves up
    assert [row[0][:7] for row in rows_of(made)[2:]] == [prefix, prefix]
    for ids, roles, sampled in rows_of(made)[2:]:
        assert roles == (HINT,) * 7 + (GENERATED,) * (len(ids) - 7)
        assert sampled == (0,) * 7 + (1,) * (len(ids) - 7)
    assert made.experience.tensors["row_weights"].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert [request.history for request in bench.script.asked[0]] == [(), (), prefix, prefix]
    assert [request.max_tokens for request in bench.script.asked[0]] == [None, None, 25, 25]  # 32 - 7: a hint counts against the budget


def test_a_hinted_rollout_is_judged_with_its_hint_and_leaves_the_pass_rate_alone(processor):
    half = {"preset": "progressive", "hint": {"share": 0.5}}
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance=half, hinted={SECOND: ["</think>\\boxed{7}"]}, rates=[(SECOND, 0, 8)])
    made = bench.make()
    assert made.batch.rollouts[2].text == "<think>2, +5=7</think>\\boxed{7}"
    assert made.batch.rollouts[2].hint_share == pytest.approx(7 / 13)
    assert [verdict.correct for verdict in made.batch.verdicts] == [True, False, True, True]
    assert bench.rates.counts(SECOND) == (0, 8), "hinted rollouts say nothing of what the policy can do alone"
    assert bench.rates.counts(FIRST) == (1, 2)


def test_a_question_once_solved_without_a_hint_is_no_more_hinted(processor):
    bench = Bench(processor, {FIRST: [RIGHT_FIRST], SECOND: ["\\boxed{7}"]}, guidance={"preset": "progressive"}, rates=[(SECOND, 0, 8)])
    bench.make(step=90)  # past 70 % of the steps nothing is hinted
    assert bench.rates.rate(SECOND) == Fraction(2, 10)
    made = bench.make(step=0)
    assert HINT not in {role for _, roles, _ in rows_of(made) for role in roles}


def test_a_question_of_unknown_rate_is_not_hinted(processor):
    made = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "progressive"}).make()
    assert len(made.experience) == 4


def test_luffy_compares_the_trace_with_the_rollouts(processor):
    made = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "luffy"}, num_generations=2).make()
    assert [ids for ids, _, _ in rows_of(made)] == [RIGHT_IDS, WRONG_IDS, WRONG_IDS, WRONG_IDS, FIRST_TRACE, SECOND_TRACE]
    assert made.experience.tensors["rollout_rows"].all(), "the sum is over all rows of a group"
    # rewards: first 0.9, 0, trace 1.0, mean 19/30; second 0, 0, 1.0, mean 1/3
    expected = [0.9 - 19 / 30, -19 / 30, -1 / 3, -1 / 3, 1.0 - 19 / 30, 2 / 3]
    assert made.experience.tensors["advantages"].tolist() == pytest.approx(expected)


def test_prefix_rft_hints_one_rollout_and_learns_its_most_uncertain_hint_tokens(processor):
    knobs = {"preset": "prefix_rft", "hint": {"share": 0.5, "upper": 0.5}}
    bench = Bench(
        processor,
        {FIRST: [RIGHT_FIRST], SECOND: [WRONG_FIRST]},
        guidance=knobs,
        hinted={SECOND: ["</think>\\boxed{7}"], FIRST: [RIGHT_FIRST]},
    )
    entropies = torch.arange(40.0)  # the later a token, the less certain
    object.__setattr__(
        bench.maker.tools,
        "scored",
        lambda experience, logps: experience.with_tensors(
            entropies=entropies[: experience.tensors["roles"].shape[1]].expand(experience.tensors["roles"].shape)
        ),
    )
    made = bench.make()
    rows = rows_of(made)
    assert [HINT in roles for _, roles, _ in rows] == [False, True, False, True]
    ids, _, sampled = rows[3]
    assert ids[:7] == SECOND_TRACE[:7]
    # a fifth of 7 hint tokens, rounded up: the last 2
    assert sampled == (0, 0, 0, 0, 0, 1, 1) + (1,) * 6
    # the hinted one is right and well formatted (1.0), the plain one is not (0): 1.0 over the mean of the plain ones
    assert made.experience.tensors["advantages"][3, 5:].tolist() == pytest.approx([1.0] * 8)
    assert made.experience.tensors["advantages"][2].abs().max() == 0


def test_a_whole_trace_stands_in_for_the_rollouts_that_it_would_begin_and_leaves_the_plain_ones(processor):
    knobs = {"gate": {"questions": "all"}, "hint": {"law": "schedule", "share": 1.0, "rollouts": 1}, "losses": LEARNT_HINT}
    made = Bench(processor, {FIRST: [RIGHT_FIRST], SECOND: [WRONG_FIRST]}, guidance=knobs).make()
    rows = [(RIGHT_IDS, GENERATED), (FIRST_TRACE, HINT), (WRONG_IDS, GENERATED), (SECOND_TRACE, HINT)]
    assert [(ids, roles) for ids, roles, _ in rows_of(made)] == [(ids, (role,) * len(ids)) for ids, role in rows]
    assert made.experience.tensors["rollout_rows"].tolist() == [True, False, True, False]


def test_a_rollout_that_was_cut_carries_no_policy_loss_on_its_hint_either(processor):
    knobs = {
        "gate": {"questions": "all"},
        "hint": {"law": "schedule", "share": 0.5},
        "losses": [{"role": "generated", "loss": "policy"}, {"role": "hint", "loss": "policy"}],
    }
    algorithm = {"num_generations": 2, "scale_rewards": "none", "mask_truncated_completions": True}
    too_long = "1" * 40  # of the budget of 32 the hint takes 4 or 7
    bench = Bench(
        processor, SOLVED_FIRST_ONLY, guidance=knobs, hinted={FIRST: [too_long, RIGHT_FIRST], SECOND: [too_long]}, algorithm=algorithm
    )
    whole, cut = [1, 1, 1, 1, *[1] * 5], [0] * 32
    assert [list(sampled) for _, _, sampled in rows_of(bench.make())] == [cut, whole, cut, cut]


def test_hint_grpo_learns_the_least_hinted_group_with_a_reward(processor):
    bench = Bench(
        processor, {FIRST: [RIGHT_FIRST], SECOND: [WRONG_FIRST]}, guidance={"preset": "hint_grpo"}, hinted={SECOND: ["</think>\\boxed{7}"]}
    )
    made = bench.make()
    assert [len(asked) for asked in bench.script.asked] == [4, 2], "only the unsolved question is asked again"
    # round(13 / 3) = 4 tokens
    assert [roles.count(HINT) for _, roles, _ in rows_of(made)] == [0, 0, 4, 4]
    assert bench.rates.counts(SECOND) == (0, 2), "its group without a hint counts, though another one is learnt"


def test_no_level_is_tried_when_the_run_is_past_its_hints(processor):
    knobs = {"preset": "hint_grpo", "hint": {"num_steps": 3, "stop_on": "correct"}}
    bench = Bench(processor, {FIRST: [WRONG_FIRST], SECOND: [WRONG_FIRST]}, guidance=knobs)
    bench.make(step=2)
    assert len(bench.script.asked) == 3, "none, a third, two thirds"
    made = bench.make(step=3)
    assert len(bench.script.asked) == 4
    assert HINT not in {role for _, roles, _ in rows_of(made) for role in roles}


def test_ghpo_puts_the_hint_into_the_prompt_after_its_delay(processor):
    replies = {FIRST: [RIGHT_FIRST], SECOND: [WRONG_FIRST]}
    bench = Bench(processor, replies, guidance={"preset": "ghpo"})
    bench.make(step=19)
    assert len(bench.script.asked) == 1
    made = bench.make(step=20)
    assert len(bench.script.asked) == 1 + 4, "none, a quarter, a half, three quarters"
    shown = made.experience.prompts[1].text
    assert "<think>2, +5=7</think>" in shown, "three quarters of 13 tokens are 10"
    assert [roles.count(HINT) for _, roles, _ in rows_of(made)] == [0, 0, 0, 0]
    assert [rollout.hint_share for rollout in made.batch.rollouts] == pytest.approx([0, 0, 10 / 13, 10 / 13])


def test_the_buffer_gives_out_traces_once_there_are_enough(processor):
    knobs = {"preset": "relift", "steps": {"buffer_size": 2}}
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance=knobs)
    first = bench.make(step=0)
    assert [ids for ids, _, _ in rows_of(first)] == [RIGHT_IDS, WRONG_IDS]
    bench.script.replies = {FIRST: [WRONG_FIRST], SECOND: [WRONG_FIRST]}
    second = bench.make(step=1)
    assert sorted(ids for ids, _, _ in rows_of(second)) == sorted([FIRST_TRACE, SECOND_TRACE])
    assert second.experience.tensors["in_trace_step"].all()


def test_a_batch_with_nothing_to_learn_holds_one_row_without_weight(processor):
    knobs = {"preset": "relift", "steps": {"buffer_size": 9}}
    made = Bench(processor, {FIRST: [WRONG_FIRST], SECOND: [WRONG_FIRST]}, guidance=knobs).make()
    known = made.experience.tensors
    assert (len(made.experience), known["row_weights"].tolist(), bool(known["sampled"].any())) == (1, [0.0], False)


def test_a_stream_brings_every_trace_before_any_comes_again(processor):
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "chord_mu", "traces": {"per_step": 1}})
    seen = [rows_of(bench.make(step=step))[-1][0] for step in range(4)]
    assert {seen[0], seen[1]} == {FIRST_TRACE, SECOND_TRACE} == {seen[2], seen[3]}


def test_a_drawn_step_on_traces_samples_nothing(processor):
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "sasr", "steps": {"num_warmup_steps": 1}})
    made = bench.make(step=0)
    assert rows_of(made) == [(FIRST_TRACE, (TRACE,) * 8, (0,) * 8), (SECOND_TRACE, (TRACE,) * 13, (0,) * 13)]
    assert not bench.script.asked
    bench.maker.note_gradient(2.0, step=0)
    assert bench.maker.state_dict()["draw"]["last_norm"] == 2.0


def test_a_trace_that_the_model_cannot_read_behind_its_prompt_is_refused(processor):
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "sasr", "steps": {"num_warmup_steps": 1}})
    prompts = bench.maker.tools.collector.encode([bench.dataset[index] for index in (0, 1)])
    longest = len(prompts[1].token_ids) + len(SECOND_TRACE)
    assert longest > len(prompts[0].token_ids) + len(FIRST_TRACE)
    bench.maker.tools.collector._context_length = longest
    assert len(bench.make().experience) == 2
    bench.maker.tools.collector._context_length = longest - 1
    with pytest.raises(DataError, match=f"The trace of '{SECOND}' has 13 tokens, {longest} with its prompt"):
        bench.make()


def test_what_a_maker_remembers_goes_through_json(processor):
    import json

    knobs = {"preset": "relift", "steps": {"buffer_size": 3}}
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance=knobs)
    bench.make()
    state = json.loads(json.dumps(bench.maker.state_dict()))
    other = Bench(processor, SOLVED_FIRST_ONLY, guidance=knobs)
    other.maker.load_state_dict(state)
    assert other.rates.counts(SECOND) == (0, 2)
    assert other.maker.state_dict() == state


def test_questions_that_do_not_divide_among_processes_are_refused(processor):
    bench = Bench(processor, SOLVED_FIRST_ONLY, guidance={"preset": "hpt"})
    object.__setattr__(bench.maker.tools, "processes", OneProcess(count=3))
    with pytest.raises(ConfigError, match=r"2 prompts \(training.prompts_per_step\) do not divide among 3 processes"):
        GuidedMaker(
            bench.maker.tools,
            Guides(bench.config.guidance, bench.maker.traces, bench.rates),
            dataset=bench.dataset,
            num_steps=lambda: 1,
            cycle_steps=1,
            keeps_step=False,
        )
