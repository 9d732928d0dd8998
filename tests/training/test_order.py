from __future__ import annotations

from trl.trainer.utils import RepeatSampler

from vlmpost.training.order import PromptSampler, StepSampler


def test_an_epoch_of_sft_is_filled_to_whole_steps_from_its_own_beginning():
    sampler = StepSampler(10, examples_per_step=4, seed=3)
    indices = list(sampler)
    assert len(indices) == len(sampler) == 12
    assert sorted(indices[:10]) == list(range(10))
    assert indices[10:] == indices[:2]


def test_sft_order_is_that_of_accelerates_seedable_sampler():
    from accelerate.data_loader import SeedableRandomSampler

    theirs = SeedableRandomSampler(range(8), data_seed=5)
    ours = StepSampler(8, examples_per_step=4, seed=5)
    for epoch in range(3):
        theirs.set_epoch(epoch)
        ours.set_epoch(epoch)
        assert list(ours) == list(theirs)


def test_rl_order_is_trls_in_every_epoch_and_can_start_in_any():
    theirs = RepeatSampler(range(7), mini_repeat_count=2, batch_size=3, repeat_count=4, seed=11)
    epochs = [list(theirs) for _ in range(3)]
    ours = PromptSampler(7, prompts_per_step=3, num_generations=2, num_repeats=4, seed=11)
    for epoch in (2, 0, 1):
        ours.set_epoch(epoch)
        assert list(ours) == epochs[epoch]
        assert len(ours) == len(epochs[epoch]) == 2 * 3 * 2 * 4


def test_iterating_twice_in_one_epoch_gives_one_order():
    sampler = PromptSampler(7, prompts_per_step=3, num_generations=2, num_repeats=1, seed=0)
    assert list(sampler) == list(sampler)
