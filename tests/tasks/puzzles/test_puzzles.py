"""Puzzles: every drawn instance is solved from its pixels and its question alone, without looking at `meta`."""

from __future__ import annotations

import io
import itertools
import random
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from vlmpost import tasks
from vlmpost.records import IMAGE, Example
from vlmpost.tasks.puzzles import TASKS
from vlmpost.tasks.puzzles.puzzle import boxes, offered

NUM_EACH = 3
Pixels = np.ndarray


def pictures(example: Example) -> list[Image.Image]:
    return [Image.open(io.BytesIO(ref.data or b"")) for ref in example.images]


def pixels(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB")).astype(float)


def letter_of(example: Example, text: str) -> str:
    """The letter before an option's text in the prompt."""
    (letter,) = re.findall(rf"^([A-Z])\. {re.escape(text)}$", example.prompt[0].text, re.MULTILINE)
    return letter


# --- solvers ---


def solve_rotation(example: Example) -> str:
    """The angle at which the upper part of the turned-back picture is most like a sky."""
    image, question = pictures(example)[-1], example.prompt[0].text
    offered = [int(degrees) for degrees in re.findall(r"(\d+) degrees$", question, re.MULTILINE)]
    across = np.abs(np.arange(image.width) - image.width / 2)
    disc = np.hypot(across[:, None], across[None, :]) < image.width * 0.48

    def sky_above(degrees: int) -> float:
        """How many pixels are on their side of the best level line between blue and green."""
        back = pixels(image.rotate(degrees if " clockwise" in question else -degrees, resample=Image.Resampling.BILINEAR))
        signs = np.where(back[..., 2] > back[..., 1], 1, -1) * disc
        above = signs.sum(axis=1).cumsum()
        return float((2 * above - above[-1]).max())

    return letter_of(example, f"{max(offered, key=sky_above)} degrees")


def solve_patch_position(example: Example) -> str:
    """The place where the patch is found again, as the offered words count places."""
    whole, patch = (pixels(image) for image in pictures(example))
    high, wide = patch.shape[:2]
    spots = [
        (top, left)
        for top, left in np.argwhere((whole[: len(whole) - high + 1, : whole.shape[1] - wide + 1] == patch[0, 0]).all(axis=2))
        if (whole[top : top + high, left : left + wide] == patch).all()
    ]
    assert len(spots) == 1, "the patch is found once"
    question = example.prompt[0].text
    side = 4 if "row" in question else 3 if "middle" in question else 2
    row, column = (int((start + length / 2) * side / len(whole)) for start, length in zip(spots[0], (high, wide), strict=True))
    if "180 degrees" in question:
        row, column = side - 1 - row, side - 1 - column
    if side == 4:
        return letter_of(example, f"row {row + 1}, column {column + 1}")
    across, down = (("left", "right"), ("top", "bottom")) if side == 2 else (("left", "centre", "right"), ("top", "middle", "bottom"))
    return letter_of(example, f"{down[row]} {across[column]}")


def seam(one: Pixels, other: Pixels) -> float:
    """How badly two rows or columns of pixels fit beside each other."""
    return float(np.abs(one - other).mean())


def best_order(beside: list[list[float]], under: list[list[float]], columns: int) -> list[int]:
    """The order of all patches whose seams cost least together, found by search under a limit that grows until there is one."""
    best: tuple[float, list[int]] = (10.0, [])

    def extend(order: list[int], cost: float) -> None:
        nonlocal best
        if cost >= best[0]:
            return
        if len(order) == len(beside):
            best = (cost, order)
            return
        place = len(order)
        for patch in range(len(beside)):
            if patch not in order:
                across = beside[order[-1]][patch] if place % columns else 0.0
                down = under[order[place - columns]][patch] if place >= columns else 0.0
                extend([*order, patch], cost + across + down)

    while not best[1]:
        best = (best[0] * 1.5, [])
        extend([], 0.0)
    return best[1]


def solve_patch_pair(example: Example) -> str:
    """Puts the patches in the order whose seams fit best, by search."""
    question = example.prompt[0].text
    rows, columns = (int(number) for number in re.search(r"into (\d) x (\d) patches", question).groups())
    image = pictures(example)[0]
    patches = [pixels(image.crop(box)) for box in boxes(rows, columns, size_pixels=224)]
    beside = [[seam(one[:, -1], other[:, 0]) for other in patches] for one in patches]
    under = [[seam(one[-1], other[0]) for other in patches] for one in patches]
    place_of = {patch: divmod(place, columns) for place, patch in enumerate(best_order(beside, under, columns))}
    one, other = (int(number) - 1 for number in re.search(r"patch (\d+) seen from patch (\d+)", question).groups())
    down, across = place_of[one][0] - place_of[other][0], place_of[one][1] - place_of[other][1]
    across = -across if "mirrored" in question else across
    vertical = "above" if down < 0 else "below" if down > 0 else ""
    horizontal = "left" if across < 0 else "right" if across > 0 else ""
    if vertical and horizontal:
        return letter_of(example, f"{vertical} and to the {horizontal}")
    return letter_of(example, f"directly {vertical}" if vertical else f"directly to the {horizontal}")


def seams(image: Pixels, side: int) -> float:
    """How badly the patches of a square grid fit together."""
    cuts = [len(image) * cut // side for cut in range(1, side)]
    return sum(seam(image[cut - 1], image[cut]) + seam(image[:, cut - 1], image[:, cut]) for cut in cuts)


def solve_flipped_patch(example: Example) -> str:
    """Undoes what may have been done and takes what fits best."""
    question = example.prompt[0].text
    side = int(re.search(r"of (\d) x \d patches", question).group(1))
    image = pictures(example)[0]
    cells = boxes(side, side, size_pixels=image.width)
    alone = bool(re.search(r"not flipped|was not", question))
    flips = {"top to bottom": Image.Transpose.FLIP_TOP_BOTTOM, "left to right": Image.Transpose.FLIP_LEFT_RIGHT}

    def undone(guess: tuple[int, str]) -> float:
        mended = image.copy()
        for place, cell in enumerate(cells):
            if (place == guess[0]) != alone:
                mended.paste(image.crop(cell).transpose(flips[guess[1]]), cell[:2])
        return seams(pixels(mended), side)

    place, axis = min(itertools.product(range(side * side), flips), key=undone)
    return letter_of(example, f"patch {place + 1}" + (f", flipped {axis}" if "flipped top" in question else ""))


def solve_patch_fit(example: Example) -> str:
    """The piece whose four edges go on as the picture does around the hole."""
    holed, *pieces = (pixels(image) for image in pictures(example))
    grey = (holed == 128).all(axis=2)
    (top, *_, last_row), (left, *_, last_column) = (np.flatnonzero(grey.sum(axis=axis) > 20) for axis in (1, 0))
    bottom, right = last_row + 1, last_column + 1

    def misfit(place: int) -> float:
        piece = pieces[place][:, ::-1] if "mirrored" in example.prompt[0].text else pieces[place]
        return (
            seam(holed[top - 1, left:right], piece[0])
            + seam(holed[bottom, left:right], piece[-1])
            + seam(holed[top:bottom, left - 1], piece[:, 0])
            + seam(holed[top:bottom, right], piece[:, -1])
        )

    return "ABCD"[min(range(4), key=misfit)]


SOLVERS: dict[str, Callable[[Example], str]] = {
    "flipped_patch": solve_flipped_patch,
    "patch_fit": solve_patch_fit,
    "patch_pair": solve_patch_pair,
    "patch_position": solve_patch_position,
    "rotation": solve_rotation,
}


@pytest.mark.parametrize("shift", tasks.SHIFTS)
@pytest.mark.parametrize("task", sorted(SOLVERS))
def test_the_answer_is_in_the_pixels(task: str, shift: str) -> None:
    assert sorted(SOLVERS) == sorted(TASKS)
    for example in tasks.stream(task, split="test", seed=5, num_examples=5 * NUM_EACH, shift=shift):
        assert SOLVERS[task](example) == example.answer, example.id


@pytest.mark.parametrize("shift", tasks.SHIFTS)
@pytest.mark.parametrize("task", sorted(SOLVERS))
def test_solutions_are_right_and_wrong_replies_wrong(task: str, shift: str) -> None:
    found = tasks.find(task)
    for example in tasks.stream(task, split="train", num_examples=10, shift=shift):
        assert found.verify(example, found.solve(example)).correct
        assert found.verify(example, found.solve(example, style="reasoned")).correct
        wrong = found.verify(example, found.wrong_reply(example, random.Random(example.id)))
        assert (wrong.outcome, wrong.reward) == ("WRONG", 0.0)


@pytest.mark.parametrize("task", sorted(SOLVERS))
def test_every_option_is_right_about_equally_often(task: str) -> None:
    """1000 draws of the second difficulty: each letter's share is within five standard deviations of its due."""
    found = tasks.find(task)
    options = found.options_of({})
    problems = [found.pose(random.Random(number), options=options, difficulty=2) for number in range(1000)]
    counts = Counter(problem.answer for problem in problems)
    numbers = {len(problem.choices) for problem in problems}
    if task == "patch_pair":  # diagonal pairs are rarer than others
        assert set(counts) == set("ABCDEFGH")
        return
    (number,) = numbers
    due = len(problems) / number
    # The variance of a count is n * p * (1 - p), less than n * p.
    assert all(abs(counts["ABCDEFGH"[place]] - due) < 5 * due**0.5 for place in range(number))


def test_the_judge_takes_as_many_options_as_there_are_at_most() -> None:
    shown = offered(random.Random(3), 18, right=17)
    assert len(shown) == 9 <= 10 and shown[-1] == 17 and shown == sorted(set(shown))
    assert offered(random.Random(3), 9, right=2) == list(range(9))


@pytest.mark.parametrize("task", sorted(SOLVERS))
def test_scenery_changes_pixels_and_nothing_that_is_asked(task: str) -> None:
    for plain, other in zip(*(tasks.stream(task, split="test", num_examples=5, shift=shift) for shift in ("none", "visual")), strict=True):
        assert (plain.prompt, plain.answer, plain.choices) == (other.prompt, other.answer, other.choices)
        assert plain.images != other.images


def test_all_but_one_patch_are_flipped_by_the_other_rule() -> None:
    for example in tasks.stream("flipped_patch", split="test", num_examples=10, shift="rule"):
        rows, columns = example.meta["grid"]
        left = set(range(rows * columns)) - set(example.meta["flipped"])
        assert [f"patch {place + 1}" for place in left] == [example.choices["ABCDEFGHI".index(example.answer)]]


def test_pieces_are_options_as_pictures() -> None:
    example = tasks.make("patch_fit", split="train", index=0, difficulty=4)
    assert example.prompt[0].content.count(IMAGE) == len(example.images) == 5
    assert example.choices == ("A", "B", "C", "D")
    shown = [part for part in example.prompt[0].content if isinstance(part, str)]
    assert [text[-3:] for text in shown[:4]] == ["A. ", "B. ", "C. ", "D. "]
    assert {image.size for image in pictures(example)[1:]} == {(67, 67)}  # 0.3 of 224 pixels is 67.2


def test_the_upright_picture_is_shown_first_where_it_is_asked_for() -> None:
    for difficulty in tasks.DIFFICULTIES:
        options = {"upright_too": True, "size_pixels": 160}
        example = tasks.make("rotation", split="train", index=1, difficulty=difficulty, options=options)
        upright, turned = pictures(example)
        assert upright.size == turned.size == (160, 160)
        assert "second picture" in example.prompt[0].text
        if difficulty <= 3:  # multiples of 90 degrees move pixels without changing them
            assert upright.rotate(example.meta["degrees_counter_clockwise"]).tobytes() == turned.tobytes()


def test_masked_borders_of_patches_are_black() -> None:
    example = tasks.make("patch_pair", split="train", index=0, difficulty=2, options={"mask_share": 0.125})
    image = pixels(pictures(example)[0])
    assert image[:14].max() == image[-14:].max() == image[98:126].max() == 0  # an eighth of a patch's 112 pixels is 14
    assert image[14:98, 14:98].min(axis=2).max() > 0


def test_what_was_done_can_be_undone_to_the_pixel() -> None:
    """Patches back in their places make the picture of the same scene that the position task shows whole."""
    example = tasks.make("patch_pair", split="train", index=2, difficulty=5)
    image, order = pictures(example)[0], example.meta["order"]
    cells = boxes(4, 4, size_pixels=224)
    whole = Image.new("RGB", (224, 224))
    for cell, source in zip(cells, order, strict=True):
        whole.paste(image.crop(cell), cells[source][:2])
    mended = pixels(whole)
    assert seams(mended, 4) < seams(pixels(image), 4) / 4
    assert sorted(order) == list(range(16))


def test_boxes_are_of_one_size_and_leave_out_what_fills_no_patch() -> None:
    # 100 pixels in 3 columns: 33 each, one pixel left out.
    assert boxes(1, 3, size_pixels=100) == [(0, 0, 33, 100), (33, 0, 66, 100), (66, 0, 99, 100)]
