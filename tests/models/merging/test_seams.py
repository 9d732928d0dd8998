"""Contract tests: they fail when transformers or PEFT changes something that merging adapters leans on."""

from __future__ import annotations

import pytest

from vlmpost.models.merging import seams
from vlmpost.models.seam import Seam, faults


@pytest.mark.parametrize("seam", seams.SEAMS, ids=lambda seam: seam.target.partition(":")[2])
def test_the_packages_still_are_what_we_lean_on(seam: Seam) -> None:
    assert faults(seam) == []


def test_the_table_names_every_seam_once_and_says_why() -> None:
    targets = [seam.target for seam in seams.SEAMS]
    assert len(targets) == len(set(targets)) == 3
    assert all(len(seam.why) > 20 for seam in seams.SEAMS)
