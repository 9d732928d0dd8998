"""`vlmpost config`: keys and presets, as tables, in full and as JSON."""

from __future__ import annotations

import json

import pytest

from vlmpost.cli.config import config
from vlmpost.config.load import parse_value
from vlmpost.config.presets import PRESETS
from vlmpost.errors import ConfigError


def test_every_preset_is_listed_with_what_it_is_and_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    config("rl", presets=True)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == list(PRESETS)
    assert all(len(row) == 3 for row in rows)
    assert "arXiv 2507.07562" in {row[0]: row[2] for row in rows}["synergy"]


def test_a_preset_is_shown_as_the_section_that_it_stands_for(capsys: pytest.CaptureFixture[str]) -> None:
    config("rl", "sft_vs_rl", presets=True)
    head, _, rest = capsys.readouterr().out.partition("algorithm:\n")
    section, _, notes = rest.partition("\n\n")
    assert head.startswith("sft_vs_rl: PPO over replies")
    assert parse_value(section) == dict(PRESETS["sft_vs_rl"].settings)
    assert "Also in the study, and not set by the preset:\n  rewards: [{name: verifier_per_turn}]" in notes


def test_presets_as_json_hold_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    config("rl", "demystify", presets=True, as_json=True)
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["settings"]["value_learning_rate"] == 9e-6
    assert set(shown) == {"name", "meaning", "source", "settings", "departures", "beside"}


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [("rl", "synergi", "there is no preset 'synergi'; did you mean synergy? Presets: sft_vs_rl, "), ("sft", None, "an sft recipe has no")],
)
def test_what_has_no_preset_is_told_so(kind: str, name: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("?", r"\?")):
        config(kind, name, presets=True)  # type: ignore[arg-type]


def test_without_presets_the_keys_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    config("rl", "algorithm.preset")
    assert capsys.readouterr().out.startswith("algorithm.preset\ttext, or null\tnull\tA study's settings")
