"""The shipped names of TRL's arguments are those of the installed TRL, and the refusals are consistent."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from vlmpost.config.hints import trl_fields, trl_key
from vlmpost.config.trl_keys import OWNED, OWNED_IN_RL, RL_FIELDS, SFT_FIELDS, SHARED_FIELDS


@pytest.mark.train  # imports TRL, which takes seconds
def test_the_names_are_those_of_the_installed_trl() -> None:
    from trl import GRPOConfig, SFTConfig

    sft = {field.name for field in dataclasses.fields(SFTConfig)}
    rl = {field.name for field in dataclasses.fields(GRPOConfig)}
    assert sft & rl == SHARED_FIELDS
    assert sft - rl == SFT_FIELDS
    assert rl - sft == RL_FIELDS


def test_every_owned_name_is_an_argument_and_is_refused() -> None:
    assert set(OWNED) <= SHARED_FIELDS | SFT_FIELDS | RL_FIELDS
    for kind in ("sft", "rl"):
        for name in set(OWNED) & trl_fields(kind):
            assert trl_key(kind, name) is not None


def test_our_own_keys_are_refused_and_others_pass() -> None:
    assert trl_key("rl", "loss_type") == "set by vlmpost; use `algorithm.loss_type`."
    assert trl_key("sft", "loss_type") is None
    assert trl_key("rl", "vllm_mode") is None
    assert trl_key("sft", "vllm_mode") is not None


def test_what_only_sft_has_a_use_for_is_refused_in_rl() -> None:
    assert set(OWNED_IN_RL) == {"label_smoothing_factor", "neftune_noise_alpha", "pad_to_multiple_of", "use_liger_kernel"}
    for name, why in OWNED_IN_RL.items():
        assert trl_key("rl", name) == f"{why}."
        assert trl_key("sft", name) is None


def test_every_argument_that_training_sets_is_refused_in_the_recipe() -> None:
    source = Path(__file__).parent.parent.parent / "vlmpost" / "training" / "arguments.py"
    dicts = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Dict)]
    names = {key.value for node in dicts for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    checked = 0
    for kind in ("sft", "rl"):
        for name in names & trl_fields(kind):
            # SFT's max_length stands in the same file as RL's arguments; each is refused where it is an argument.
            assert trl_key(kind, name) is not None, (kind, name)
            checked += 1
    assert checked > 50
