"""Published model outputs, read by the official code of their benchmark (its random guess left out) and by our profiles."""

from __future__ import annotations

import json
from pathlib import Path

from vlmpost.answers import profiles
from vlmpost.answers.reference import Reference

ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "fixtures" / "official_letters.jsonl").read_text("utf-8").splitlines()]


def test_the_profiles_read_published_outputs_as_the_official_code_does() -> None:
    different = []
    for row in ROWS:
        reference = Reference(row["answer"], "choice" if row["choices"] else "number", tuple(row["choices"]))
        verdict = profiles.find(row["profile"]).function(row["output"], reference)
        found = verdict.correct if row["profile"] == "gsm8k" else verdict.extracted
        if found != row["official"]:
            different.append((row["source"], found, row["official"]))
        assert verdict.correct == (row["official"] in (True, row["answer"]))
    assert different == []
    assert len(ROWS) == 71


def test_each_row_names_its_source_and_licence() -> None:
    assert {row["licence"] for row in ROWS} == {"Apache-2.0", "MIT"}
    assert all("@" in row["source"] for row in ROWS)
