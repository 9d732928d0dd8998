r"""Rewards for a set of boxes: matched IoU, calibrated confidence, VLM-R1's weighted score, mean average precision.

Where the gold stands and which forms of an answer are read: `locations.py`. Which space coordinates are in: `coordinates.py`.
Both sets empty is worth 1; an answer that cannot be read, or one set empty, is worth 0.

Departures from the sources:

1. Boxes are read from JSON, Python objects or bare lists alike; `reading: vlm_r1` wants VLM-R1's JSON fence in the last answer tag.
2. VLM-R1 keeps the label of the box before where one has none, and fails on the first; here a missing label is the empty label.
   Labels are compared without regard to case and outer blanks in every reward (VLM-R1 does so only in its weighted score).
3. Visual-RFT drops an unreadable half of a cut list and repairs the rest. Here a cut tag is unread.
4. Visual-RFT clips the mean, so that a confidence of 10^9 pays. Here an answer with a confidence outside 0 to 1 is worth 0. A
   box without a confidence counts as sure, except in `box_confidence`, where the answer is worth 0.
5. Visual-RFT fails, and gives 0, where gold and answer are both empty.

Source: Visual-RFT: Liuziyu77/Visual-RFT at 9486633, src/virft/src/open_r1/grpo.py. VLM-R1: om-ai-lab/VLM-R1 at 90052f4,
`detection_score`, `od_reward` and `odLength_reward` of open_r1/grpo_jsonl.py. Average precision: cocoapi, `COCOeval`, area
range all, at most 100 boxes of a label, 101 recall points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from vlmpost.records import Rollout
from vlmpost.rewards.boxes import SPACE_PRESETS, VLM_R1_SPACES, Overlap, in_one_space, overlap_of
from vlmpost.rewards.coordinates import QWEN2_VL_FACTOR, Space, Spaces, check_spaces
from vlmpost.rewards.locations import Box, FoundBox, gold_boxes, read_boxes, read_fenced_boxes

SetReading = Literal["general", "vlm_r1"]
COCO_THRESHOLDS: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.8999999999999999, 0.95)
"""As NumPy's linspace gives them, which COCO's evaluator uses: an IoU of just below 0.9 passes."""
MAX_BOXES_PER_LABEL: Final = 100
_VISUAL_RFT: Final[Mapping[str, object]] = MappingProxyType({"match": "confidence", "drop_repeats": True})
_VLM_R1: Final[Mapping[str, object]] = MappingProxyType({"reading": "vlm_r1"})
PRESETS: Final[Mapping[str, Mapping[str, Mapping[str, object]]]] = MappingProxyType(
    {
        "box_set_iou": {**SPACE_PRESETS, "visual_rft": _VISUAL_RFT},
        "box_confidence": {**SPACE_PRESETS, "visual_rft": {"drop_repeats": True}},
        "box_set_score": {**SPACE_PRESETS, "vlm_r1": {**_VLM_R1, "overlap": VLM_R1_SPACES["overlap"]}},
        "box_average_precision": {
            **SPACE_PRESETS,
            "vlm_r1_od_ap": _VLM_R1,
            "vlm_r1_od_ap50": {**_VLM_R1, "iou_thresholds": [0.5]},
            "vlm_r1_od_length": {**_VLM_R1, "punish_extra": True},
        },
    }
)


def box_set_iou(
    rollout: Rollout,
    *,
    match: Literal["best", "confidence"] = "best",
    min_iou: float = 0.5,
    same_label: bool = False,
    drop_repeats: bool = False,
    answer_space: Space = "pixels",
    gold_space: Space = "pixels",
    resize_factor: int = QWEN2_VL_FACTOR,
    image_min_pixels: int | None = None,
    image_max_pixels: int | None = None,
) -> float | None:
    """Sum of the IoU of matched boxes over the larger number of boxes, 0 to 1; None where the example has no gold boxes.

    Args:
        rollout: What is judged.
        match: "best": the pair of highest IoU first. "confidence": the answer's boxes by falling confidence, each with the best
            gold box left, as Visual-RFT does.
        min_iou: Pairs match where their IoU is above this.
        same_label: Whether matched boxes must have the same label.
        drop_repeats: Whether a box that the answer gives again is ignored, not counted as wrong.
        answer_space: What the model's coordinates are in.
        gold_space: What the gold's coordinates are in.
        resize_factor: Multiple of the resized sides: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        image_min_pixels: Pixel budget of the processor, for `resized`.
        image_max_pixels: Pixel budget of the processor, for `resized`.
    """
    spaces = Spaces(answer_space, gold_space, resize_factor, image_min_pixels, image_max_pixels)
    sets = _sets(rollout, spaces, drop_repeats=drop_repeats)
    if sets is None or isinstance(sets, float):
        return sets
    answers, golds = sets
    if match == "confidence":
        if not all(_is_calibrated(answer, missing=True) for answer in answers):
            return 0.0
        pairs = _matched_by_confidence(answers, golds, min_iou, same_label=same_label)
    else:
        pairs = _matched_by_iou(answers, golds, min_iou, same_label=same_label)
    return min(1.0, sum(value for _, _, value in pairs) / max(len(answers), len(golds)))


def box_confidence(
    rollout: Rollout,
    *,
    min_iou: float = 0.5,
    drop_repeats: bool = False,
    answer_space: Space = "pixels",
    gold_space: Space = "pixels",
    resize_factor: int = QWEN2_VL_FACTOR,
    image_min_pixels: int | None = None,
    image_max_pixels: int | None = None,
) -> float | None:
    """Mean over the answer's boxes of the confidence where it matches a gold box, else of 1 less it; None without gold boxes.

    Args:
        rollout: What is judged.
        min_iou: Boxes match where their IoU is above this; matched by falling confidence.
        drop_repeats: Whether a box that the answer gives again is ignored.
        answer_space: What the model's coordinates are in.
        gold_space: What the gold's coordinates are in.
        resize_factor: Multiple of the resized sides: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        image_min_pixels: Pixel budget of the processor, for `resized`.
        image_max_pixels: Pixel budget of the processor, for `resized`.
    """
    spaces = Spaces(answer_space, gold_space, resize_factor, image_min_pixels, image_max_pixels)
    sets = _sets(rollout, spaces, drop_repeats=drop_repeats)
    if sets is None or isinstance(sets, float):
        return sets
    answers, golds = sets
    if not all(_is_calibrated(answer, missing=False) for answer in answers):
        return 0.0
    matched = {place for place, _, _ in _matched_by_confidence(answers, golds, min_iou, same_label=False)}
    confidences = [_confidence(answer) for answer in answers]
    return sum(value if place in matched else 1.0 - value for place, value in enumerate(confidences)) / len(answers)


def box_set_score(
    rollout: Rollout,
    *,
    min_iou: float = 0.5,
    position_weight: float = 0.7,
    label_weight: float = 0.0,
    completeness_weight: float = 0.3,
    reading: SetReading = "general",
    overlap: Overlap = "continuous",
    answer_space: Space = "pixels",
    gold_space: Space = "pixels",
    resize_factor: int = QWEN2_VL_FACTOR,
    image_min_pixels: int | None = None,
    image_max_pixels: int | None = None,
) -> float | None:
    """VLM-R1's weighted mean of position, label and completeness, 0 to 1; None where the example has no gold boxes.

    Pairs match by falling IoU down to `min_iou`, whatever their labels. Position is the sum of IoU of pairs with one label over the
    number of gold boxes, label the number of such pairs over it, completeness 1 - (missed share of golds + idle share of answers) / 2.

    Args:
        rollout: What is judged.
        min_iou: Pairs match where their IoU is at least this.
        position_weight: Weight of the position.
        label_weight: Weight of the label.
        completeness_weight: Weight of the completeness.
        reading: "vlm_r1": only a JSON fence in the last answer tag.
        overlap: "vlm_r1" repeats its treatment of edges.
        answer_space: What the model's coordinates are in.
        gold_space: What the gold's coordinates are in.
        resize_factor: Multiple of the resized sides: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        image_min_pixels: Pixel budget of the processor, for `resized`.
        image_max_pixels: Pixel budget of the processor, for `resized`.
    """
    spaces = Spaces(answer_space, gold_space, resize_factor, image_min_pixels, image_max_pixels)
    sets = _sets(rollout, spaces, reading=reading, in_pixels=overlap == "vlm_r1")
    if sets is None or isinstance(sets, float):
        return sets
    answers, golds = sets
    pairs = _matched_by_iou(answers, golds, min_iou, same_label=False, overlap=overlap, inclusive=True)
    named = [value for answer, gold, value in pairs if answers[answer].label == golds[gold].label]
    position, label = sum(named) / len(golds), len(named) / len(golds)
    completeness = 1.0 - (1.0 - len(pairs) / len(golds) + 1.0 - len(pairs) / len(answers)) / 2.0
    weights = (position_weight, label_weight, completeness_weight)
    return sum(weight * part for weight, part in zip(weights, (position, label, completeness), strict=True)) / sum(weights)


def box_average_precision(
    rollout: Rollout,
    *,
    iou_thresholds: tuple[float, ...] = COCO_THRESHOLDS,
    use_confidence: bool = False,
    punish_extra: bool = False,
    reading: SetReading = "general",
    answer_space: Space = "pixels",
    gold_space: Space = "pixels",
    resize_factor: int = QWEN2_VL_FACTOR,
    image_min_pixels: int | None = None,
    image_max_pixels: int | None = None,
) -> float | None:
    """COCO's mean average precision of one image over the gold's labels, 0 to 1; None where the example has no gold boxes.

    As in COCO, a box whose label no gold has costs nothing, and neither do wrong boxes after all golds are found: see `punish_extra`.

    Args:
        rollout: What is judged.
        iou_thresholds: Averaged over; 0.5, 0.55 ... 0.95 in COCO, (0.5,) for AP50.
        use_confidence: Ranks the answer's boxes by confidence (1 where none is given), else by their order.
        punish_extra: Multiplies by golds / answers where the answer has more boxes than the gold (VLM-R1's odLength).
        reading: "vlm_r1": only a JSON fence in the last answer tag.
        answer_space: What the model's coordinates are in.
        gold_space: What the gold's coordinates are in.
        resize_factor: Multiple of the resized sides: 28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL.
        image_min_pixels: Pixel budget of the processor, for `resized`.
        image_max_pixels: Pixel budget of the processor, for `resized`.
    """
    from vlmpost.rewards.average_precision import average_precision  # brings numpy, which `vlmpost --help` does without

    spaces = Spaces(answer_space, gold_space, resize_factor, image_min_pixels, image_max_pixels)
    sets = _sets(rollout, spaces, reading=reading)
    if sets is None or isinstance(sets, float):
        return sets
    answers, golds = sets
    ranked = sorted(answers, key=_confidence, reverse=True) if use_confidence else answers
    precisions = []
    for label in dict.fromkeys(gold.label for gold in golds):
        wanted = [gold for gold in golds if gold.label == label]
        given = [answer for answer in ranked if answer.label == label][:MAX_BOXES_PER_LABEL]
        overlaps = [[overlap_of(answer.box, gold.box, "continuous") for gold in wanted] for answer in given]
        precisions += [average_precision(overlaps, threshold, num_golds=len(wanted)) for threshold in iou_thresholds]
    mean = sum(precisions) / len(precisions)
    return mean * min(1.0, len(golds) / len(answers)) if punish_extra else mean


def check_sets(arguments: Mapping[str, object], _max_completion_length: int | None) -> Sequence[str]:
    """Says what is wrong with the parameters of a reward of this module together, one clause per fault."""
    faults = check_spaces(arguments)
    threshold, thresholds = arguments.get("min_iou"), arguments.get("iou_thresholds")
    if isinstance(threshold, int | float) and not 0.0 <= threshold < 1.0:
        faults.append(f"min_iou {threshold} must be from 0 to below 1")
    if isinstance(thresholds, Sequence) and (not thresholds or not all(0.0 < value <= 1.0 for value in thresholds)):
        faults.append(f"iou_thresholds {thresholds} must be at least one number above 0 and up to 1")
    keys = ("position_weight", "label_weight", "completeness_weight")
    weights = [value for key in keys if isinstance(value := arguments.get(key), int | float)]
    if weights and (min(weights) < 0 or sum(weights) <= 0):
        faults.append(f"the weights {weights} must not be negative, and one must be positive")
    return faults


def _sets(
    rollout: Rollout, spaces: Spaces, *, reading: SetReading = "general", drop_repeats: bool = False, in_pixels: bool = False
) -> tuple[list[FoundBox], list[FoundBox]] | float | None:
    """The boxes of the answer and of the gold in one space, none of them empty; a number where that decides; None without gold."""
    golds = gold_boxes(rollout.example)
    if golds is None:
        return None
    read = read_fenced_boxes(rollout.text) if reading == "vlm_r1" else read_boxes(rollout.text)
    answers = _without_repeats(read.boxes) if drop_repeats else list(read.boxes)
    mapped = in_one_space(rollout.example, answers, golds, spaces, in_pixels=in_pixels)
    if not read.readable:
        return 0.0
    if not answers or not golds:
        return float(not answers and not golds)
    return mapped


def _without_repeats(boxes: Sequence[FoundBox]) -> list[FoundBox]:
    """The boxes with the first of equal ones kept."""
    firsts: dict[Box, FoundBox] = {}
    for box in boxes:
        firsts.setdefault(box.box, box)
    return list(firsts.values())


def _matched_by_iou(
    answers: Sequence[FoundBox],
    golds: Sequence[FoundBox],
    min_iou: float,
    *,
    same_label: bool,
    overlap: Overlap = "continuous",
    inclusive: bool = False,
) -> list[tuple[int, int, float]]:
    """Pairs (answer, gold, IoU) by falling IoU, each box once; ties in the order given."""
    pairs = []
    for row, answer in enumerate(answers):
        for column, gold in enumerate(golds):
            value = overlap_of(answer.box, gold.box, overlap)
            if (value > min_iou or (inclusive and value == min_iou)) and (not same_label or answer.label == gold.label):
                pairs.append((row, column, value))
    pairs.sort(key=lambda pair: -pair[2])
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    matched = []
    for row, column, value in pairs:
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            matched.append((row, column, value))
    return matched


def _matched_by_confidence(
    answers: Sequence[FoundBox], golds: Sequence[FoundBox], min_iou: float, *, same_label: bool
) -> list[tuple[int, int, float]]:
    """Pairs (answer, gold, IoU): the answers by falling confidence, each with the best gold left where that is above `min_iou`."""
    left = list(range(len(golds)))
    matched = []
    for row in sorted(range(len(answers)), key=lambda place: -_confidence(answers[place])):
        open_golds = [column for column in left if not same_label or golds[column].label == answers[row].label]
        if not open_golds:
            continue
        values = [overlap_of(answers[row].box, golds[column].box, "continuous") for column in open_golds]
        best = max(values)
        if best > min_iou:
            column = open_golds[values.index(best)]
            matched.append((row, column, best))
            left.remove(column)
    return matched


def _confidence(answer: FoundBox) -> float:
    return 1.0 if answer.confidence is None else answer.confidence


def _is_calibrated(answer: FoundBox, *, missing: bool) -> bool:
    return missing if answer.confidence is None else 0.0 <= answer.confidence <= 1.0
