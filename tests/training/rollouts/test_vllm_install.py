"""Versions that fit each other, and recipes that vLLM would train wrongly."""

from __future__ import annotations

import importlib
import importlib.util
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from vlmpost.config.schema import GenerationConfig
from vlmpost.errors import ConfigError, MissingError
from vlmpost.training.rollouts import vllm_install
from vlmpost.training.rollouts.vllm_install import check_installed, check_recipe, narrowing_settings, version_fault

NEEDS = ["torch==2.13.0", "transformers<5.18,>=5.10.4", 'transformers<5.0 ; extra == "old"', "numpy"]
"""What vLLM 0.31.0 says it needs, in the part that training shares."""


@pytest.mark.parametrize(
    ("version", "torch", "transformers", "fault"),
    [
        ("0.31.0", "2.13.0+cu129", "5.17.2", None),
        ("0.22.0.post1", "2.13.0", "5.10.4", None),
        ("0.21.9", "2.13.0", "5.17.2", "vLLM 0.21.9 is installed, and TRL 1.16 takes 0.22.0 to 0.31.0"),
        ("0.32.0", "2.13.0", "5.17.2", "vLLM 0.32.0 is installed, and TRL 1.16 takes 0.22.0 to 0.31.0"),
        ("0.31.0", "2.13.0", "5.23.0", "vLLM 0.31.0 takes transformers <5.18,>=5.10.4, and 5.23.0 is installed"),
        ("0.31.0", "2.14.0", "5.17.2", "vLLM 0.31.0 takes torch ==2.13.0, and 2.14.0 is installed"),
    ],
)
def test_versions_are_held_against_what_both_sides_ask_for(version, torch, transformers, fault):
    assert version_fault(version, NEEDS, installed={"torch": torch, "transformers": transformers}) == fault


def test_trls_range_is_the_extras(monkeypatch):
    trls = importlib.import_module("trl.import_utils")
    extras = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (requirement,) = map(Requirement, extras["vllm"])
    for version, allowed in ((vllm_install.OLDEST, True), (vllm_install.NEWEST, True), ("0.21.0", False), ("0.32.0", False)):
        assert requirement.specifier.contains(str(version)) is allowed
        monkeypatch.setattr(trls, "_is_package_available", lambda name, return_version, found=str(version): (True, found))
        if allowed:
            assert trls.is_vllm_available()
        else:
            with pytest.warns(UserWarning, match=r"from 0\.22\.0 to 0\.31\.0"):
                trls.is_vllm_available()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_missing_vllm_is_one_sentence_with_the_command():
    with pytest.raises(MissingError, match=r"trl\.use_vllm: vLLM is not installed\. Install it with `pip install 'vlmpost\[vllm\]'`"):
        check_installed()


def test_a_vllm_that_does_not_fit_is_told_with_the_command(monkeypatch):
    monkeypatch.setattr(vllm_install.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(vllm_install.metadata, "version", {"vllm": "0.31.0", "torch": "2.13.0", "transformers": "5.23.0"}.__getitem__)
    monkeypatch.setattr(vllm_install.metadata, "requires", lambda name: NEEDS)
    with pytest.raises(MissingError, match=r"takes transformers <5\.18,>=5\.10\.4, and 5\.23\.0 is installed.*vlmpost\[vllm\]"):
        check_installed()
    monkeypatch.setattr(vllm_install.metadata, "version", {"vllm": "0.31.0", "torch": "2.13.0", "transformers": "5.17.0"}.__getitem__)
    check_installed()


def test_a_mode_is_colocate_or_server():
    check_recipe({"use_vllm": True}, GenerationConfig())
    check_recipe({"use_vllm": True, "vllm_mode": "server"}, GenerationConfig())
    with pytest.raises(ConfigError, match=r"trl\.vllm_mode is 'serve'\. Choose one of: colocate, server"):
        check_recipe({"use_vllm": True, "vllm_mode": "serve"}, GenerationConfig())


def test_a_narrowed_distribution_and_the_correction_do_not_go_together():
    narrow = GenerationConfig(top_p=0.9, top_k=20)
    assert narrowing_settings(narrow) == ["top_p 0.9", "top_k 20"]
    with pytest.raises(ConfigError, match=r"generation\.top_p 0\.9 and generation\.top_k 20: .*trl#6789"):
        check_recipe({"use_vllm": True}, narrow)
    check_recipe({"use_vllm": True, "vllm_importance_sampling_correction": False}, narrow)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"temperature": 0.5}, []),
        ({"min_p": 0.0}, []),
        ({"min_p": 0.05}, ["min_p 0.05"]),
        ({"repetition_penalty": 1.1}, ["repetition_penalty 1.1"]),
    ],
)
def test_which_settings_narrow(settings, expected):
    assert narrowing_settings(GenerationConfig(**settings)) == expected
