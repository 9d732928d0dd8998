"""Every key has a meaning, and types read like words."""

from __future__ import annotations

from vlmpost.config.describe import describe


def test_every_key_has_a_meaning_that_is_a_sentence() -> None:
    seen = 0
    for kind in ("sft", "rl"):
        for key in describe(kind):  # type: ignore[arg-type]
            assert len(key.meaning) > 5, key
            assert key.meaning.endswith("."), key
            seen += 1
    assert seen > 100


def test_types_and_defaults_are_words() -> None:
    keys = {key.key: key for key in describe("rl")}
    assert keys["training.max_steps"].type == "whole number > 0, or null"
    assert keys["training.max_steps"].default == "null"
    assert keys["generation.top_p"].type == "number > 0 and <= 1"
    assert keys["model.use_peft"].type == "true or false"
    assert keys["model.use_peft"].default == "false"
    assert keys["algorithm.scale_rewards"].type == "group | batch | none"
    assert keys["rewards"].type == "list of sections"
    assert keys["rewards.N.name"].default is None
    assert keys["model.lora_target_modules"].type == "text, or list of text"
    assert keys["data.train.N.columns"].default == "{}"
