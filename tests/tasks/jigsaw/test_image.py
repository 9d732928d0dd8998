"""Image jigsaw: tiles of drawn pictures fit together by their pixels, and answers put pictures back to the pixel."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy
import pytest
from PIL import Image

from vlmpost.errors import ConfigError, DataError
from vlmpost.records import IMAGE, Example, ImageRef
from vlmpost.tasks.jigsaw.image import ImageJigsaw, restored
from vlmpost.tasks.jigsaw.tiles import cut, has_equal_tiles, sheet_boxes
from vlmpost.tasks.material import Item, Unsuitable
from vlmpost.tasks.scenes.landscape import draw_landscape

Make = Callable[..., Example]
Pictures = Callable[[Example], list[Image.Image]]


def png(image: Image.Image) -> ImageRef:
    encoded = io.BytesIO()
    image.save(encoded, format="PNG")
    return ImageRef(data=encoded.getvalue())


def noise(width: int, height: int) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(3 * width * height))


def on(image: Image.Image, **options: object) -> Example:
    task = ImageJigsaw()
    item = Item("a.png", images=(png(image),))
    return task.make_on(item, digest="d" * 32, split="train", index=0, seed=0, options=task.options_of(options))


def assembled(tiles: list[Image.Image], rows: int, cols: int) -> list[int]:
    """The labels in reading order for which the edges of neighbours differ least: found by trying all, worse beginnings cut off."""
    arrays = [numpy.asarray(tile, dtype=float) for tile in tiles]
    beside = numpy.array([[numpy.abs(left[:, -1] - right[:, 0]).mean() for right in arrays] for left in arrays])
    below = numpy.array([[numpy.abs(upper[-1] - lower[0]).mean() for lower in arrays] for upper in arrays])
    best = [numpy.inf, []]

    def extend(placed: list[int], cost: float) -> None:
        if cost >= best[0]:
            return
        if len(placed) == len(tiles):
            best[:] = [cost, placed]
            return
        place = len(placed)
        options = []
        for tile in set(range(len(tiles))) - set(placed):
            step = beside[placed[-1], tile] if place % cols else 0.0
            step += below[placed[place - cols], tile] if place >= cols else 0.0
            options.append((step, tile))
        for step, tile in sorted(options):
            extend([*placed, tile], cost + step)

    extend([], 0.0)
    assert len(best[1]) == rows * cols
    return [tile + 1 for tile in best[1]]


def shown_tiles(example: Example, pictures: Pictures) -> list[Image.Image]:
    meta = example.meta
    if meta["layout"] == "tiles":
        return pictures(example)
    rows, cols = meta["grid"]
    (sheet,) = pictures(example)
    size = ((sheet.width - (cols - 1) * meta["gap_pixels"]) // cols, (sheet.height - (rows - 1) * meta["gap_pixels"]) // rows)
    return cut(sheet, sheet_boxes(size, rows=rows, cols=cols, gap_pixels=meta["gap_pixels"]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shift": "visual"},
        {"rows": 2, "cols": 2, "width": 140, "height": 84, "layout": "one_image", "prompt_style": "compact"},
        {"rows": 1, "cols": 3, "width": 140, "height": 84, "layout": "one_image", "gap_pixels": 4},
        {"rows": 1, "cols": 2, "width": 140, "height": 84, "layout": "one_image"},
        {"rows": 3, "cols": 2, "width": 168, "height": 168},
    ],
)
def test_drawn_puzzles_are_solved_by_the_edges_of_their_tiles(options: dict, make: Make, pictures: Pictures) -> None:
    for index in range(6):
        example = make("image_jigsaw", index, **options)
        assert assembled(shown_tiles(example, pictures), *example.meta["grid"]) == example.meta["order"], example.id


def test_by_the_other_rule_the_same_tiles_are_asked_for_by_columns(make: Make, pictures: Pictures) -> None:
    for index in range(4):
        example = make("image_jigsaw", index, shift="rule")
        by_rows = assembled(pictures(example), 3, 3)
        assert [by_rows[3 * row + col] for col in range(3) for row in range(3)] == example.meta["order"]


@pytest.mark.parametrize("reading", ["rows", "columns"])
@pytest.mark.parametrize("layout", ["tiles", "one_image"])
@pytest.mark.parametrize(("rows", "cols", "width", "height"), [(3, 3, 140, 99), (2, 4, 131, 77), (1, 5, 149, 40), (4, 1, 50, 131)])
def test_answers_put_pictures_back_to_the_pixel(
    rows: int, cols: int, width: int, height: int, layout: str, reading: str, make: Make
) -> None:
    options = {"rows": rows, "cols": cols, "layout": layout, "reading": reading, "min_tile_pixels": 8}
    options |= {"gap_pixels": 3} if layout == "one_image" else {}
    lost = (width % cols, height % rows) if layout == "one_image" else (0, 0)
    drawn = make("image_jigsaw", 3, width=width, height=height, **options)
    for example, picture in (
        (drawn, draw_landscape(drawn.meta["scene"]["seed"], (width, height))),
        (on(noise(width, height), **options), noise(width, height)),
    ):
        whole = picture.crop((0, 0, width - lost[0], height - lost[1]))
        assert restored(example).tobytes() == whole.tobytes()
        assert example.meta["size"] == list(whole.size)


def test_tiles_stand_in_the_prompt_in_the_order_shown(make: Make, pictures: Pictures) -> None:
    example = make("image_jigsaw", rows=2, cols=2)
    content = example.prompt[0].content
    slots = [place for place, part in enumerate(content) if part is IMAGE]
    assert [content[place - 1] for place in slots] == ["Tile 1: ", "Tile 2: ", "Tile 3: ", "Tile 4: "]
    whole = draw_landscape(example.meta["scene"]["seed"], (420, 336))
    for label, tile in enumerate(pictures(example), start=1):
        assert tile.tobytes() == whole.crop(tuple(example.meta["boxes"][example.meta["order"].index(label)])).tobytes()


def test_resize_comes_before_crop_and_crop_before_the_cut() -> None:
    picture = noise(200, 100)
    example = on(picture, rows=2, cols=2, resize=[160, 120], crop=[100, 80])
    expected = picture.resize((160, 120)).crop((30, 20, 130, 100))
    assert restored(example).tobytes() == expected.tobytes()


@pytest.mark.parametrize(("size", "fits"), [((84, 84), True), ((83, 200), False), ((200, 83), False), ((85, 84), True)])
def test_pictures_with_a_side_below_84_pixels_are_no_3_x_3_puzzles(size: tuple, fits: bool) -> None:
    if fits:
        assert len(on(noise(*size)).images) == 9
    else:
        with pytest.raises(Unsuitable, match=r"too small for its tiles.*at least 84 x 84"):
            on(noise(*size))


def test_a_picture_with_two_equal_tiles_and_a_crop_that_is_too_large_are_refused() -> None:
    with pytest.raises(Unsuitable, match="two tiles are equal"):
        on(Image.new("RGB", (90, 90), "white"))
    with pytest.raises(Unsuitable, match="smaller than crop"):
        on(noise(90, 90), crop=[91, 60])


def test_drawn_landscapes_have_no_equal_tiles_in_any_grid() -> None:
    for seed in range(8):
        picture = draw_landscape(seed, (224, 168))
        for rows, cols in ((1, 8), (6, 1), (6, 8)):
            boxes = [
                (224 * col // cols, 168 * row // rows, 224 * (col + 1) // cols, 168 * (row + 1) // rows)
                for row in range(rows)
                for col in range(cols)
            ]
            assert not has_equal_tiles(cut(picture, boxes))


def test_a_border_is_black_and_the_rest_as_it_was(make: Make, pictures: Pictures) -> None:
    plain, covered = (make("image_jigsaw", rows=2, cols=2, border_pixels=border, min_tile_pixels=28) for border in (0, 5))
    assert plain.meta["order"] == covered.meta["order"]
    for before, after in zip(pictures(plain), pictures(covered), strict=True):
        assert set(after.crop((0, 0, 5, after.height)).tobytes()) == {0}
        inner = (5, 5, after.width - 5, after.height - 5)
        assert after.crop(inner).tobytes() == before.crop(inner).tobytes()


def test_inverted_colours_are_the_only_change_of_the_visual_shift(make: Make, pictures: Pictures) -> None:
    plain, shifted = make("image_jigsaw", 1), make("image_jigsaw", 1, shift="visual")
    assert plain.meta["order"] == shifted.meta["order"] and plain.prompt == shifted.prompt
    assert numpy.array_equal(255 - numpy.asarray(pictures(plain)[0]), numpy.asarray(pictures(shifted)[0]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": 1, "cols": 1}, "nothing to shuffle"),
        ({"rows": 0}, "rows"),
        ({"gap_pixels": 2}, "gap_pixels is for layout one_image"),
        ({"border_pixels": 14}, "covers tiles"),
        ({"resize": [0, 10]}, "resize.0"),
        ({"colums": 3}, "did you mean cols"),
    ],
)
def test_options_that_cannot_be_are_named(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ImageJigsaw().options_of(options)


def test_a_drawn_picture_too_small_for_its_grid_is_an_error_at_once(make: Make) -> None:
    with pytest.raises(DataError, match="100 x 336, at least 84 x 364"):
        make("image_jigsaw", width=100, rows=13)


def test_a_picture_that_is_no_picture_is_a_data_error() -> None:
    task = ImageJigsaw()
    with pytest.raises(DataError, match="not an image"):
        task.make_on(
            Item("x", images=(ImageRef(data=b"nothing"),)), digest="0", split="train", index=0, seed=0, options=task.options_of({})
        )
