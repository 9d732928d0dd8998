"""A loaded model that answers text prompts, and judges by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vlmpost.config.schema import ModelConfig
from vlmpost.models.completer import LocalCompleter
from vlmpost.models.loader import load
from vlmpost.records import Example, Rollout, Verdict
from vlmpost.rewards.model_judge import ModelJudge


def test_a_loaded_model_replies_to_every_prompt_the_same_in_any_batch(tiny_model: Callable[[str], Path]) -> None:
    loaded = load(ModelConfig(path=str(tiny_model("qwen2_5_vl")), device="cpu"), purpose="eval")
    prompts = ["one", "a longer prompt with more words", "one"]
    together = LocalCompleter(loaded, max_tokens=5).complete(prompts)
    alone = LocalCompleter(loaded, max_tokens=5, batch_size=1).complete(prompts)
    assert together == alone
    assert together[0] == together[2]
    assert len(together) == 3


def test_an_untrained_model_judges_nothing_and_the_rules_stand(tiny_model: Callable[[str], Path]) -> None:
    loaded = load(ModelConfig(path=str(tiny_model("qwen2_5_vl")), device="cpu"), purpose="eval")
    judge = ModelJudge(LocalCompleter(loaded, max_tokens=5))
    rollout = Rollout(Example("q", "t", (), answer="7", answer_type="number"), "As many as days.", (1,), "stop")
    before = Verdict("unparsed", None, "no_answer_form")
    assert judge.settle([rollout], [before]) == [before]
    assert (judge.counts.num_asked, judge.counts.num_unreadable) == (1, 1)
