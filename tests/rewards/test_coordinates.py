"""Coordinate spaces and the processor's resize."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import GraderError
from vlmpost.records import Example
from vlmpost.rewards.coordinates import Space, Spaces, check_spaces, from_pixels, sizes_of, smart_resize, to_pixels

BUDGETS = [(28, 3136, 1003520), (28, 3136, 12845056), (28, 256 * 28 * 28, 1280 * 28 * 28), (32, 65536, 16777216), (32, 4096, 262144)]
SIDES = [1, 13, 14, 15, 27, 28, 29, 42, 55, 56, 84, 100, 224, 336, 427, 480, 640, 641, 999, 1024, 1333, 2048, 3000, 4032, 8000]
SPACES: list[Space] = ["pixels", "resized", "normalized_1", "normalized_1000"]


def processors_resize() -> Callable[..., tuple[int, int]]:
    module = importlib.import_module("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    return module.smart_resize  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("size", "factor", "budget", "seen"),
    [
        ((640, 480), 28, (3136, 1003520), (644, 476)),  # 640/28 = 22.86 -> 23, 480/28 = 17.14 -> 17
        ((640, 480), 32, (65536, 16777216), (640, 480)),
        ((28, 28), 28, (3136, 1003520), (56, 56)),  # below 56 x 56: grown by 2
        ((2000, 2000), 28, (3136, 1003520), (980, 980)),  # shrunk by 1.99645: 1001.8 / 28 = 35.78 -> 35
        ((42, 70), 28, (0, 10**9), (56, 56)),  # 1.5 and 2.5 both round to the even 2
    ],
)
def test_sides_become_multiples_of_the_factor_within_the_budget(
    size: tuple[int, int], factor: int, budget: tuple[int, int], seen: tuple[int, int]
) -> None:
    assert smart_resize(size, factor=factor, min_pixels=budget[0], max_pixels=budget[1]) == seen


def test_the_resize_is_the_processors_over_many_sizes() -> None:
    resize, num_compared = processors_resize(), 0
    for factor, low, high in BUDGETS:
        for width in SIDES:
            for height in SIDES:
                if max(width, height) > 200 * min(width, height):
                    continue
                num_compared += 1
                rows, columns = resize(height, width, factor=factor, min_pixels=low, max_pixels=high)
                assert smart_resize((width, height), factor=factor, min_pixels=low, max_pixels=high) == (columns, rows)
    assert num_compared > 2500


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from(BUDGETS))
def test_the_resize_is_the_processors_for_any_size(width: int, height: int, budget: tuple[int, int, int]) -> None:
    factor, low, high = budget
    if max(width, height) > 200 * min(width, height):
        with pytest.raises(GraderError):
            smart_resize((width, height), factor=factor, min_pixels=low, max_pixels=high)
        return
    rows, columns = processors_resize()(height, width, factor=factor, min_pixels=low, max_pixels=high)
    assert smart_resize((width, height), factor=factor, min_pixels=low, max_pixels=high) == (columns, rows)


@pytest.mark.parametrize("patch", [14, 16])
@pytest.mark.parametrize("size", [(640, 480), (333, 217), (90, 700)])
def test_the_resize_gives_the_grid_that_the_processor_makes(patch: int, size: tuple[int, int]) -> None:
    from PIL import Image
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    low, high = 56 * 56, 200 * 28 * 28
    processor = Qwen2VLImageProcessorPil(patch_size=patch, size={"shortest_edge": low, "longest_edge": high})
    _, rows, columns = processor([Image.new("RGB", size)], return_tensors="np")["image_grid_thw"][0].tolist()
    assert smart_resize(size, factor=2 * patch, min_pixels=low, max_pixels=high) == (columns * patch, rows * patch)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_coordinates_survive_the_way_there_and_back(space: Space, budget: tuple[int, int, int]) -> None:
    factor, low, high = budget
    for width in SIDES:
        for height in SIDES:
            if max(width, height) > 200 * min(width, height):
                continue
            seen = smart_resize((width, height), factor=factor, min_pixels=low, max_pixels=high)
            box = (0.0, height / 3, width / 7, float(height))
            there = from_pixels(box, space=space, size=(width, height), seen=seen)
            assert to_pixels(there, space=space, size=(width, height), seen=seen) == pytest.approx(box, rel=1e-12, abs=1e-9)


def test_each_space_puts_the_lower_right_corner_where_it_says() -> None:
    corners = {"pixels": (640, 480), "resized": (644, 476), "normalized_1": (1, 1), "normalized_1000": (1000, 1000)}
    assert list(corners) == SPACES
    for space in SPACES:
        assert to_pixels(corners[space], space=space, size=(640, 480), seen=(644, 476)) == (640, 480)


def test_the_two_sides_are_scaled_apart() -> None:
    # 100 of 644 is 100 * 640 / 644; 100 of 476 is 100 * 480 / 476
    moved = to_pixels((100, 100), space="resized", size=(640, 480), seen=(644, 476))
    assert moved == pytest.approx((99.37888198757764, 100.84033613445378), abs=1e-9)


def example(**meta: object) -> Example:
    return Example("q1", "boxes", (), meta=meta)


def test_the_seen_size_is_the_examples_own_where_it_is_given() -> None:
    spaces = Spaces("resized", "pixels", 28, 3136, 1003520)
    assert sizes_of(example(image_size=[640, 480]), spaces) == ((640, 480), (644, 476))
    assert sizes_of(example(image_size=[640, 480], resized_size=[384, 384]), spaces) == ((640, 480), (384, 384))
    assert sizes_of(example(image_size=[640, 480]), Spaces("normalized_1", "pixels")) == ((640, 480), None)


@pytest.mark.parametrize(
    ("meta", "spaces", "cause"),
    [
        ({}, Spaces("resized", "pixels", 28, 3136, 1003520), "meta.image_size"),
        ({"image_size": [640, 480]}, Spaces("resized", "pixels"), "pixel budget"),
        ({"image_size": [640.5, 480]}, Spaces("normalized_1", "pixels"), "whole pixels"),
        ({"image_size": [640, 0]}, Spaces("normalized_1", "pixels"), "whole pixels"),
        ({"image_size": [True, 480]}, Spaces("normalized_1", "pixels"), "whole pixels"),
        ({"image_size": "640x480"}, Spaces("normalized_1", "pixels"), "whole pixels"),
        ({"image_size": [1, 900]}, Spaces("resized", "pixels", 28, 3136, 1003520), "ratio"),
    ],
)
def test_a_missing_or_wrong_size_is_said(meta: dict, spaces: Spaces, cause: str) -> None:
    with pytest.raises(GraderError, match=cause):
        sizes_of(example(**meta), spaces)


def test_budgets_that_do_not_fit_together_are_said() -> None:
    assert check_spaces({"image_min_pixels": 1, "image_max_pixels": 2, "resize_factor": 28}) == []
    assert check_spaces({"image_min_pixels": None, "image_max_pixels": None, "resize_factor": 28}) == []
    for arguments in (
        {"image_min_pixels": 5, "image_max_pixels": None},
        {"image_min_pixels": 5, "image_max_pixels": 4},
        {"resize_factor": 0},
    ):
        assert len(check_spaces(arguments)) == 1
