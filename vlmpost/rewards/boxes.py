r"""Rewards for one box or one point: IoU, GIoU, point in box.

Where the gold stands and which forms of an answer are read: `locations.py`. Which space coordinates are in: `coordinates.py`.
An answer that cannot be read, or whose corners are swapped, is worth 0 (`unread`); a gold that cannot be read is a `GraderError`.

Known defects of the sources, mended here:

1. VLM-R1 and others divide by zero where neither box has an area. Here IoU is 1 for equal boxes, else 0.
2. VLM-R1 takes 1 off the right and bottom edges before the overlap test, so that overlaps of up to 1 pixel in one direction
   count as none: an identical 1-pixel box scores 0. Only `overlap: vlm_r1` does so.
3. VLM-R1 reads whole numbers only and rewards a box in the thinking's first answer tag. Only `reading: vlm_r1` does so.
4. Visual-RFT first gives 1.0 where a symbolic comparison of the whole texts holds, which it does when two lists start with the
   same number; and it pairs corners of different boxes where an answer has two. Neither is reproduced.
5. Several repositories compare boxes in resized pixels with boxes in image pixels. Here the two spaces are declared.

Source: IoU and GIoU: arXiv 1902.09630, equations 1 to 3. VLM-R1: om-ai-lab/VLM-R1 at 90052f4, `iou_reward` of
vlm_modules/qwen_module.py. Visual-RFT: Liuziyu77/Visual-RFT at 9486633, `compute_giou` of src/virft/src/open_r1/grpo_lisa.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards.coordinates import QWEN2_VL_FACTOR, QWEN3_VL_FACTOR, Space, Spaces, check_spaces, limit_of, sizes_of, to_pixels
from vlmpost.rewards.locations import Box, FoundBox, Reading, gold_boxes, read_box, read_point

Overlap = Literal["continuous", "vlm_r1"]
SPACE_PRESETS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "internvl": {"answer_space": "normalized_1000"},
        "qwen2_vl": {"answer_space": "normalized_1000"},
        "qwen2_5_vl": {"answer_space": "resized", "resize_factor": QWEN2_VL_FACTOR},
        "qwen3_vl": {"answer_space": "normalized_1000", "resize_factor": QWEN3_VL_FACTOR},
    }
)
"""What the families answer in, for gold in pixels of the image. Qwen2.5-VL also needs the pixel budget it is run with."""
VLM_R1_SPACES: Final[Mapping[str, object]] = MappingProxyType(
    {
        "overlap": "vlm_r1",
        "answer_space": "resized",
        "resize_factor": QWEN2_VL_FACTOR,
        "image_min_pixels": 3136,
        "image_max_pixels": 12845056,
    }
)
"""VLM-R1 on Qwen2.5-VL with the pixel budget of its own defaults."""
OVERLAP_PRESETS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        **SPACE_PRESETS,
        "vlm_r1": {"reading": "vlm_r1", **VLM_R1_SPACES},
        "visual_rft": {"metric": "giou", "offset": 1.0, "reading": "first"},
    }
)
POINT_PRESETS: Final[Mapping[str, Mapping[str, object]]] = SPACE_PRESETS
PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = MappingProxyType(
    {"box_overlap": OVERLAP_PRESETS, "point_in_box": POINT_PRESETS}
)
_SLACK: Final = 1.01
"""Golds drawn by hand may leave the image by this much before their space is taken to be declared wrongly."""


def box_overlap(
    rollout: Rollout,
    *,
    metric: Literal["iou", "giou"] = "iou",
    threshold: float | None = None,
    offset: float = 0.0,
    unread: float = 0.0,
    reading: Reading = "last",
    overlap: Overlap = "continuous",
    answer_space: Space = "pixels",
    gold_space: Space = "pixels",
    resize_factor: int = QWEN2_VL_FACTOR,
    image_min_pixels: int | None = None,
    image_max_pixels: int | None = None,
) -> float | None:
    """IoU (0 to 1) or GIoU (-1 to 1) of the answered box and the gold box; None where the example has no gold box.

    Args:
        rollout: What is judged.
        metric: "giou" also tells near from far where the boxes do not meet.
        threshold: 1.0 where the metric is at least this, else 0.0. None: the metric itself.
        offset: Added to the metric; 1.0 makes GIoU 0 to 2.
        unread: What an answer without a readable box is worth.
        reading: Which box counts: the last one of the answer's place, the first, or as VLM-R1 reads.
        overlap: "vlm_r1" repeats its treatment of edges.
        answer_space: What the model's coordinates are in.
        gold_space: What the gold's coordinates are in.
        resize_factor: Multiple of the resized sides: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        image_min_pixels: Pixel budget of the processor, for `resized`.
        image_max_pixels: Pixel budget of the processor, for `resized`.

    Raises:
        GraderError: The gold is malformed or several boxes, or a size that is needed is missing.
    """
    golds = gold_boxes(rollout.example)
    if golds is None:
        return None
    if len(golds) != 1:
        raise GraderError(f"Example {rollout.example.id!r} has {len(golds)} gold boxes; for sets of boxes use the rewards box_set_*.")
    found = read_box(rollout.text, reading=reading)
    spaces = Spaces(answer_space, gold_space, resize_factor, image_min_pixels, image_max_pixels)
    mapped = in_one_space(rollout.example, [] if found is None else [found], golds, spaces, in_pixels=overlap == "vlm_r1")
    if found is None:
        return unread
    (answer,), (gold,) = mapped
    value = giou(answer.box, gold.box) if metric == "giou" else overlap_of(answer.box, gold.box, overlap)
    return (value if threshold is None else float(value >= threshold)) + offset


def point_in_box(
    rollout: Rollout,
    *,
    answer_space: Space = "pixels",
    gold_space: Space = "pixels",
    resize_factor: int = QWEN2_VL_FACTOR,
    image_min_pixels: int | None = None,
    image_max_pixels: int | None = None,
) -> float | None:
    """1.0 where the answered point (the middle of an answered box) lies in a gold box, edges included; None without gold boxes.

    Args:
        rollout: What is judged.
        answer_space: What the model's coordinates are in.
        gold_space: What the gold's coordinates are in.
        resize_factor: Multiple of the resized sides: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        image_min_pixels: Pixel budget of the processor, for `resized`.
        image_max_pixels: Pixel budget of the processor, for `resized`.

    Raises:
        GraderError: The gold is malformed or empty, or a size that is needed is missing.
    """
    golds = gold_boxes(rollout.example)
    if golds is None:
        return None
    if not golds:
        raise GraderError(f"Example {rollout.example.id!r} has no gold box that a point could lie in.")
    point = read_point(rollout.text)
    spaces = Spaces(answer_space, gold_space, resize_factor, image_min_pixels, image_max_pixels)
    answers = [] if point is None else [FoundBox((*point, *point))]
    mapped, targets = in_one_space(rollout.example, answers, golds, spaces, in_pixels=False)
    return float(any(_holds(gold.box, answer.box) for answer in mapped for gold in targets))


def check_overlap(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Says what is wrong with the parameters of `box_overlap` together, one clause per fault."""
    faults = check_spaces(arguments)
    threshold, offset, unread = (arguments.get(key) for key in ("threshold", "offset", "unread"))
    giou_metric = arguments.get("metric") == "giou"
    if isinstance(threshold, int | float) and not (-1.0 if giou_metric else 0.0) < threshold <= 1.0:
        faults.append(f"threshold {threshold} must lie above {-1 if giou_metric else 0} and up to 1")
    if giou_metric and arguments.get("overlap") == "vlm_r1":
        faults.append("overlap vlm_r1 is a rule for IoU; set metric to iou")
    if giou_metric and threshold is None and isinstance(offset, int | float) and isinstance(unread, int | float) and unread > offset - 1.0:
        faults.append(
            f"an answer without a box would be worth {unread}, more than a box far off ({offset - 1.0}): set offset to 1 or unread to -1"
        )
    return faults


def check_point(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Says what is wrong with the parameters of `point_in_box` together, one clause per fault."""
    return check_spaces(arguments)


def iou(one: Box, other: Box) -> float:
    """Returns intersection over union, 0 to 1; of two boxes without area 1 where they are the same, else 0.

    >>> iou((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    shared, union = _areas(one, other)
    if union <= 0:
        return float(one == other)
    return min(1.0, shared / union)


def giou(one: Box, other: Box) -> float:
    """Returns generalised IoU, -1 to 1: IoU less the share of the smallest common box that neither fills.

    >>> giou((0, 0, 1, 1), (2, 0, 3, 1))
    -0.3333333333333333
    """
    _, union = _areas(one, other)
    hull = _area((min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])))
    empty = max(0.0, hull - union) / hull if hull > 0 else float(one != other)
    return max(-1.0, iou(one, other) - empty)


def overlap_of(one: Box, other: Box, overlap: Overlap) -> float:
    """Returns IoU by the chosen treatment of edges; "vlm_r1" gives 0 where its own code fails on a zero union."""
    if overlap == "continuous":
        return iou(one, other)
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]) - 1, min(one[3], other[3]) - 1
    shared = (right - left + 1) * (bottom - top + 1) if left < right and top < bottom else 0.0
    union = _area(one) + _area(other) - shared
    return shared / union if union else 0.0


def in_one_space(
    example: Example, answers: Sequence[FoundBox], golds: Sequence[FoundBox], spaces: Spaces, *, in_pixels: bool
) -> tuple[list[FoundBox], list[FoundBox]]:
    """Returns answers and golds in one space: as they are where the spaces agree, else in pixels of the image.

    Args:
        example: Holds the sizes in its metadata.
        answers: Boxes of the model.
        golds: Boxes of the example.
        spaces: What each is in.
        in_pixels: Whether the measure depends on the unit, as VLM-R1's edges do. IoU and GIoU do not.

    Raises:
        GraderError: A gold does not fit its space, or a size that is needed is missing.
    """
    limit = limit_of(spaces.gold)
    if limit is not None and any(abs(number) > limit * _SLACK for gold in golds for number in gold.box):
        raise GraderError(f"Example {example.id!r}: the gold box {golds[0].box} is not in {spaces.gold} coordinates; set gold_space.")
    if not spaces.differ and (spaces.gold == "pixels" or not in_pixels):
        return list(answers), list(golds)
    size, seen = sizes_of(example, spaces)

    def moved(found: FoundBox, space: Space) -> FoundBox:
        x1, y1, x2, y2 = to_pixels(found.box, space=space, size=size, seen=seen)
        return FoundBox((x1, y1, x2, y2), found.label, found.confidence, found.span)

    return [moved(answer, spaces.answer) for answer in answers], [moved(gold, spaces.gold) for gold in golds]


def _holds(outer: Box, inner: Box) -> bool:
    return outer[0] <= inner[0] and inner[2] <= outer[2] and outer[1] <= inner[1] and inner[3] <= outer[3]


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _areas(one: Box, other: Box) -> tuple[float, float]:
    """Areas of the intersection and of the union."""
    shared = _area((max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])))
    return shared, _area(one) + _area(other) - shared
