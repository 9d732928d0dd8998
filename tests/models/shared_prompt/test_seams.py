"""Contract tests: they fail when transformers changes something that the shared prompt leans on."""

from __future__ import annotations

import pytest

from vlmpost.models.seam import Seam, faults
from vlmpost.models.shared_prompt import seams


@pytest.mark.parametrize(
    "seam", seams.SEAMS, ids=lambda seam: seam.target.partition(":")[0].rpartition(".")[2] + ":" + seam.target.partition(":")[2]
)
def test_transformers_still_is_what_we_lean_on(seam: seams.Seam) -> None:
    assert faults(seam) == []


def test_the_table_names_every_seam_once_and_says_why() -> None:
    targets = [seam.target for seam in seams.SEAMS]
    assert len(targets) == len(set(targets)) == 21
    assert all(len(seam.why) > 20 for seam in seams.SEAMS)


def test_a_changed_signature_and_a_lost_fragment_are_both_named() -> None:
    seam = Seam("vlmpost.models.shared_prompt.layout:spans", ("lengths",), ("return the spans",), "planted, to see the test fail")
    found = faults(seam)
    assert len(found) == 2
    assert "('prompt_lengths', 'owners', 'completion_lengths')" in found[0]
    assert "return the spans" in found[1]
