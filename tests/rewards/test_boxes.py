"""Rewards for boxes and points, and the reading of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards import box_sets, boxes
from vlmpost.rewards.binding import schema_of
from vlmpost.rewards.box_sets import box_average_precision, box_confidence, box_set_iou, box_set_score, check_sets
from vlmpost.rewards.boxes import box_overlap, check_overlap, giou, iou, overlap_of, point_in_box
from vlmpost.rewards.locations import gold_boxes, read_box, read_boxes, read_point

GOLD = [10, 20, 30, 40]


def rollout(text: str, *, answer: str | None = None, kind: str = "text", **meta: object) -> Rollout:
    return Rollout(Example("q1", "boxes", (), answer=answer, answer_type=kind, meta=meta), text, (), "stop")  # type: ignore[arg-type]


@st.composite
def any_box(draw: st.DrawFn) -> tuple[float, float, float, float]:
    number = st.floats(-1e6, 1e6, allow_nan=False)
    x1, x2 = sorted((draw(number), draw(number)))
    y1, y2 = sorted((draw(number), draw(number)))
    return x1, y1, x2, y2


@pytest.mark.parametrize(
    ("one", "other", "shared", "generalised"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0, 1.0),
        ((0, 0, 2, 2), (1, 0, 3, 2), 1 / 3, 1 / 3),  # 2 of 6, and the hull of 6 is full
        ((0, 0, 2, 2), (1, 1, 3, 3), 1 / 7, 1 / 7 - 2 / 9),  # 1 of 7, hull 9
        ((0, 0, 1, 1), (2, 0, 3, 1), 0.0, -1 / 3),  # hull 3, filled 2
        ((0, 0, 1, 1), (1, 0, 2, 1), 0.0, 0.0),  # they only touch
        ((5, 5, 6, 6), (5, 5, 6, 6), 1.0, 1.0),  # one pixel
        ((5, 5, 5, 5), (5, 5, 5, 5), 1.0, 1.0),  # no area, the same
        ((5, 5, 5, 5), (6, 6, 6, 6), 0.0, -1.0),
        ((5, 5, 5, 9), (5, 5, 5, 8), 0.0, -1.0),
    ],
)
def test_overlap_by_hand(one: boxes.Box, other: boxes.Box, shared: float, generalised: float) -> None:
    assert iou(one, other) == pytest.approx(shared, abs=1e-9)
    assert giou(one, other) == pytest.approx(generalised, abs=1e-9)


@given(any_box(), any_box())
def test_iou_is_symmetric_and_bounded_and_giou_never_above_it(one: boxes.Box, other: boxes.Box) -> None:
    assert iou(one, other) == iou(other, one)
    assert 0.0 <= iou(one, other) <= 1.0
    assert giou(one, other) == giou(other, one)
    assert -1.0 <= giou(one, other) <= iou(one, other)
    assert iou(one, one) == giou(one, one) == 1.0


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ((5, 5, 6, 6), (5, 5, 6, 6), 0.0),  # an identical box of one pixel
        ((0, 0, 2, 2), (0, 0, 2, 2), 1.0),
        ((0, 0, 4, 4), (3, 0, 7, 4), 0.0),  # 4 of 28, but one pixel wide
        ((0, 0, 4, 4), (2, 0, 6, 4), 1 / 3),  # 8 of 24
        ((5, 5, 5, 5), (5, 5, 5, 5), 0.0),  # its own code fails here
    ],
)
def test_vlm_r1_edges_are_repeated_where_asked(one: boxes.Box, other: boxes.Box, value: float) -> None:
    assert overlap_of(one, other, "vlm_r1") == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("[10, 20, 30, 40]", (10, 20, 30, 40)),
        ("The dog is at [10,20,30,40].", (10, 20, 30, 40)),
        ("(10, 20, 30, 40)", (10, 20, 30, 40)),
        ("[[10, 20, 30, 40]]", (10, 20, 30, 40)),
        ("<answer>10, 20, 30, 40</answer>", (10, 20, 30, 40)),
        ("<answer> 10 20 30 40 </answer>", (10, 20, 30, 40)),
        (r"\boxed{[10, 20, 30, 40]}", (10, 20, 30, 40)),
        ("(10,20),(30,40)", (10, 20, 30, 40)),
        ("<|box_start|>(10,20),(30,40)<|box_end|><|im_end|>", (10, 20, 30, 40)),
        ("<|object_ref_start|>dog<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>", (10, 20, 30, 40)),
        ("<box>(10,20),(30,40)</box>", (10, 20, 30, 40)),
        ("<|ref|>dog<|/ref|><|det|>[[10, 20, 30, 40]]<|/det|>", (10, 20, 30, 40)),
        ("<|box_start|>(501,10), (995987)<|box_end|>", None),
        ("<box>10 20 30 40</box>", (10, 20, 30, 40)),
        ("<ref>dog</ref><box>[[10, 20, 30, 40]]</box>", (10, 20, 30, 40)),
        ('```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "dog"}]\n```', (10, 20, 30, 40)),
        ("{'Position': [10, 20, 30, 40], 'Confidence': 0.5}", (10, 20, 30, 40)),
        ('{"x1": 10, "y1": 20, "x2": 30, "y2": 40}', (10, 20, 30, 40)),
        ("x_min=10, y_min=20, x_max=30, y_max=40", (10, 20, 30, 40)),
        ("[-1.5, .25, 3e1, 4.]", (-1.5, 0.25, 30, 4)),
        ("[1, 1, 2, 2] no, it is [10, 20, 30, 40]", (10, 20, 30, 40)),
        ("<think>[1, 1, 2, 2]</think>[10, 20, 30, 40]", (10, 20, 30, 40)),
        ("<answer>[1, 1, 2, 2]</answer> wait <answer>[10, 20, 30, 40]</answer> not [3, 3, 4, 4]", (10, 20, 30, 40)),
        ("[10, 20, 30]", None),
        ("[10, 20, 30, 40, 50]", None),
        ("[10, 20, 30, 40", None),
        ("[a, b, c, d]", None),
        ("[nan, 20, 30, 40]", None),
        ("[30, 20, 10, 40]", None),  # corners swapped
        ("<think>[10, 20, 30, 40]", None),
        ("<answer>[10, 20, 30, 40]", None),  # cut
        ("<answer>none</answer> [10, 20, 30, 40]", None),
        ("[__import__('os').system('true'), 20, 30, 40]", None),
        ("10 20 30 40 and more", None),
        ("", None),
    ],
)
def test_a_box_is_read_in_many_writings_and_never_made_up(text: str, box: tuple[float, ...] | None) -> None:
    found = read_box(text)
    assert (None if found is None else found.box) == box
    assert box_overlap(rollout(text, box=GOLD)) == (1.0 if box == (10, 20, 30, 40) else pytest.approx(0.0, abs=0.1))


def test_the_readings_of_the_sources_differ_from_ours() -> None:
    text = "<think><answer>[1, 2, 3, 4] [5, 6, 7, 8]</answer></think><answer>[10.0, 20, 30, 40]</answer>"
    assert [read_box(text, reading=reading).box for reading in ("last", "first", "vlm_r1")] == [  # type: ignore[union-attr]
        (10, 20, 30, 40),
        (1, 2, 3, 4),
        (1, 2, 3, 4),
    ]
    for decimal in ("<answer>[10.0, 20, 30, 40]</answer>", "[10, 20, 30, 40]", "<answer>[-1, 20, 30, 40]</answer>"):
        assert read_box(decimal, reading="vlm_r1") is None
        assert read_box(decimal, reading="first") is not None


def test_labels_and_confidences_come_with_their_boxes() -> None:
    text = """[{"bbox_2d": [1, 2, 3, 4], "label": " Cat "}, {'Position': [5, 6, 7, 8], 'Confidence': 0.25}, [0, 0, 1, 1]]"""
    found = read_boxes(text).boxes
    assert [(box.box, box.label, box.confidence) for box in found] == [
        ((1, 2, 3, 4), "cat", None),
        ((5, 6, 7, 8), "", 0.25),
        ((0, 0, 1, 1), "", None),
    ]


@pytest.mark.parametrize("text", ["[]", "None", "```json\n[]\n```", "<answer> none. </answer>", "No objects"])
def test_saying_that_there_is_nothing_is_an_answer(text: str) -> None:
    assert (read_boxes(text).readable, read_boxes(text).boxes) == (True, ())
    assert box_set_iou(rollout(text, boxes=[])) == 1.0
    assert box_set_iou(rollout(text, boxes=[GOLD])) == 0.0


@pytest.mark.parametrize(
    "text",
    ["[" * 1_000_000, "[1," * 300_000, "(1, 2), " * 200_000, "<answer>" * 200_000, " " * 3_000_000, "[1, 2, 3, 4]" * 100_000, "{" * 10**6],
)
def test_long_and_broken_texts_cost_little(text: str) -> None:
    start = time.perf_counter()
    for value in (box_overlap(rollout(text, box=GOLD)), point_in_box(rollout(text, box=GOLD)), box_set_iou(rollout(text, boxes=[GOLD]))):
        assert value is not None
        assert value < 0.1
    assert time.perf_counter() - start < 3.0


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("(15, 25)", (15, 25)),
        ("click [15, 25]", (15, 25)),
        ('{"point_2d": [15.5, 25], "label": "x"}', (15.5, 25)),
        ("<point>15 25</point>", (15, 25)),
        ("<click>15, 25</click>", (15, 25)),
        ("x=15, y=25", (15, 25)),
        ("<answer>15, 25</answer>", (15, 25)),
        ("[10, 20, 30, 40]", (20, 30)),  # the middle
        ("[10, 20, 30, 40] so (1, 2)", (1, 2)),
        ("(1, 2) in [10, 20, 30, 40]", (20, 30)),
        ("15", None),
        ("(15, 25", None),
        ("(1, 2, 3)", None),
    ],
)
def test_a_point_is_read(text: str, point: tuple[float, float] | None) -> None:
    assert read_point(text) == point


@pytest.mark.parametrize(("text", "value"), [("(10, 20)", 1), ("(30, 40)", 1), ("(20, 40.1)", 0), ("(9.9, 30)", 0), ("nowhere", 0)])
def test_a_point_on_the_edge_is_in_the_box(text: str, value: float) -> None:
    assert point_in_box(rollout(text, box=GOLD)) == value
    assert point_in_box(rollout(text, boxes=[[100, 100, 101, 101], GOLD])) == value


def test_gold_is_read_from_metadata_or_answer() -> None:
    for asked in (
        rollout("", box=GOLD),
        rollout("", boxes=[GOLD]),
        rollout("", boxes=[{"bbox_2d": GOLD}]),
        rollout("", answer="[10, 20, 30, 40]"),
        rollout("", answer='{"bbox_2d": [10, 20, 30, 40]}'),
        rollout("", answer='{"bbox_2d": [10, 20, 30, 40]}', kind="latex"),
    ):
        golds = gold_boxes(asked.example)
        assert golds is not None
        assert [gold.box for gold in golds] == [(10, 20, 30, 40)]


@pytest.mark.parametrize(
    ("answer", "kind", "meta"),
    [(None, "text", {}), ("B", "choice", {}), ("7", "number", {}), ("(1, 2), (3, 4)", "latex", {})],
)
def test_questions_without_boxes_are_left_out(answer: str | None, kind: str, meta: dict) -> None:
    given = rollout("[10, 20, 30, 40]", answer=answer, kind=kind, **meta)
    for reward in (box_overlap, point_in_box, box_set_iou, box_confidence, box_set_score, box_average_precision):
        assert reward(given) is None


@pytest.mark.parametrize(
    ("answer", "meta"),
    [
        ("a dog", {}),
        ("[10, 20, 30]", {}),
        (None, {"box": [10, 20, 30]}),
        (None, {"box": "[10, 20, 30, 40]"}),
        (None, {"box": [10, 20, 30, float("nan")]}),
        (None, {"box": [10, 20, 30, True]}),
        (None, {"box": [30, 20, 10, 40]}),
        (None, {"box": [10, 20, 10, 40]}),
        (None, {"boxes": {"box": GOLD}}),
        (None, {"boxes": [GOLD, [1, 2]]}),
        (None, {"boxes": [{"label": "dog"}]}),
    ],
)
def test_a_gold_that_cannot_be_read_is_an_error_not_a_zero(answer: str | None, meta: dict) -> None:
    for reward in (box_overlap, point_in_box, box_set_iou, box_average_precision):
        with pytest.raises(GraderError, match="q1"):
            reward(rollout("[10, 20, 30, 40]", answer=answer, **meta))


def test_several_golds_are_refused_where_one_box_is_asked_for() -> None:
    with pytest.raises(GraderError, match="box_set"):
        box_overlap(rollout("[10, 20, 30, 40]", boxes=[GOLD, GOLD]))


def test_boxes_are_compared_in_one_space() -> None:
    seen = "[161, 119, 322, 238]"  # of 644 x 476: a quarter to a half
    meta = {"box": [160, 120, 320, 240], "image_size": [640, 480]}
    assert box_overlap(rollout(seen, **meta), answer_space="resized", image_min_pixels=3136, image_max_pixels=1003520) == pytest.approx(1.0)
    assert box_overlap(rollout(seen, **meta)) < 0.99
    assert box_overlap(rollout("[250, 250, 500, 500]", **meta), answer_space="normalized_1000") == pytest.approx(1.0)
    assert box_overlap(rollout("[0.25, 0.25, 0.5, 0.5]", **meta), answer_space="normalized_1") == pytest.approx(1.0)
    assert point_in_box(rollout("(400, 400)", **meta), answer_space="normalized_1000") == 1.0  # (256, 192)
    assert point_in_box(rollout("(600, 400)", **meta), answer_space="normalized_1000") == 0.0
    both = {"box": [0.25, 0.25, 0.5, 0.5]}  # equal spaces need no size
    assert box_overlap(rollout("[0.25, 0.25, 0.5, 0.5]", **both), answer_space="normalized_1", gold_space="normalized_1") == 1.0


def test_a_gold_outside_its_declared_space_is_said() -> None:
    with pytest.raises(GraderError, match="gold_space"):
        box_overlap(rollout("[1, 2, 3, 4]", box=GOLD), answer_space="normalized_1", gold_space="normalized_1")


def test_presets_of_one_box_by_hand() -> None:
    presets = boxes.OVERLAP_PRESETS
    meta = {"box": [160, 120, 320, 240], "image_size": [640, 480]}
    # 644 x 476 under VLM-R1's budget; the answer is the gold exactly
    assert box_overlap(rollout("<answer>[161, 119, 322, 238]</answer>", **meta), **presets["vlm_r1"]) == pytest.approx(1.0, abs=1e-9)  # type: ignore[arg-type]
    assert box_overlap(rollout("[161, 119, 322, 238]", **meta), **presets["vlm_r1"]) == 0.0  # type: ignore[arg-type]
    assert box_overlap(rollout("<answer>(0,0),(1,1)</answer>", box=[2, 0, 3, 1]), **presets["visual_rft"]) == pytest.approx(2 / 3, abs=1e-9)  # type: ignore[arg-type]
    assert box_overlap(rollout("<answer>(2,0),(3,1)</answer>", box=[2, 0, 3, 1]), **presets["visual_rft"]) == 2.0  # type: ignore[arg-type]


def test_thresholds_and_offsets() -> None:
    third = rollout("[1, 0, 3, 2]", box=[0, 0, 2, 2])
    assert [box_overlap(third, threshold=value) for value in (0.3, 1 / 3, 0.34)] == [1.0, 1.0, 0.0]
    assert box_overlap(third, metric="giou", offset=1.0) == pytest.approx(4 / 3)
    assert box_overlap(rollout("none", box=GOLD), metric="giou", unread=-1.0) == -1.0


def json_answer(*items: tuple[list[int], str]) -> str:
    inner = ", ".join(f'{{"bbox_2d": {box}, "label": "{label}"}}' for box, label in items)
    return f"<think>a</think><answer>```json\n[{inner}]\n```</answer>"


TWO = [{"box": [0, 0, 10, 10], "label": "a"}, {"box": [20, 0, 30, 10], "label": "b"}]


def test_matched_iou_by_hand() -> None:
    # IoU 0.8 (8 wide of 10) with the first gold, nothing with the second: 0.8 / 2
    assert box_set_iou(rollout("[[0, 0, 8, 10]]", boxes=TWO)) == pytest.approx(0.4, abs=1e-9)
    # both found and one too many: (1 + 1) / 3
    assert box_set_iou(rollout("[[0,0,10,10],[20,0,30,10],[50,50,60,60]]", boxes=TWO)) == pytest.approx(2 / 3, abs=1e-9)
    # IoU of exactly a half does not match
    assert box_set_iou(rollout("[[0, 0, 5, 10]]", boxes=TWO)) == 0.0
    again = "[[0,0,10,10],[0,0,10,10]]"
    assert box_set_iou(rollout(again, boxes=TWO[:1])) == pytest.approx(0.5)
    assert box_set_iou(rollout(again, boxes=TWO[:1]), drop_repeats=True) == 1.0


def test_matching_by_confidence_takes_the_sure_box_first() -> None:
    text = "[{'Position': [0,0,8,10], 'Confidence': 0.9}, {'Position': [0,0,10,10], 'Confidence': 0.4}]"
    given = rollout(text, boxes=TWO[:1])
    assert box_set_iou(given, match="confidence") == pytest.approx(0.4)  # 0.8 / 2
    assert box_set_iou(given) == pytest.approx(0.5)  # the exact box of the two
    # the sure one matches, the other does not: (0.9 + 1 - 0.4) / 2
    assert box_confidence(given) == pytest.approx(0.75, abs=1e-9)


@pytest.mark.parametrize("confidence", ["1000000", "-5", "1.01"])
def test_a_confidence_that_is_none_does_not_pay(confidence: str) -> None:
    text = f"[{{'Position': [0,0,10,10], 'Confidence': {confidence}}}]"
    assert box_confidence(rollout(text, boxes=TWO[:1])) == 0.0
    assert box_confidence(rollout("[[0,0,10,10]]", boxes=TWO[:1])) == 0.0


def test_the_weighted_score_by_hand() -> None:
    preset = box_sets.PRESETS["box_set_score"]["vlm_r1"]
    # one exact pair of two golds, one idle answer: position 1/2, completeness 1 - (1/2 + 1/2)/2: 0.7/2 + 0.3/2
    text = json_answer(([0, 0, 10, 10], "A"), ([60, 60, 70, 70], "b"))
    assert box_set_score(rollout(text, boxes=TWO), **preset) == pytest.approx(0.5, abs=1e-9)  # type: ignore[arg-type]
    # a wrong label: matched, so complete, but its IoU counts 0: 0.3 * (1 - 1/4)
    text = json_answer(([0, 0, 10, 10], "b"))
    assert box_set_score(rollout(text, boxes=TWO), **preset) == pytest.approx(0.3 * 0.75, abs=1e-9)  # type: ignore[arg-type]
    assert box_set_score(rollout(text, boxes=TWO), label_weight=1.0) == pytest.approx(0.3 * 0.75 / 2, abs=1e-9)
    assert box_set_score(rollout("[{'bbox_2d': [0,0,10,10]}]", boxes=TWO), **preset) == 0.0  # type: ignore[arg-type]


def test_average_precision_by_hand() -> None:
    # label a: an exact box found first: 1 at every recall. Label b: the IoU is 6/10: right up to 0.6, 3 of 10 thresholds
    text = json_answer(([0, 0, 10, 10], "a"), ([20, 0, 26, 10], "b"))
    assert box_average_precision(rollout(text, boxes=TWO)) == pytest.approx((1 + 0.3) / 2, abs=1e-9)
    assert box_average_precision(rollout(text, boxes=TWO), iou_thresholds=(0.5,)) == 1.0
    # of two golds of one label the second answer finds one: precision 1/2 at recalls 0 to 0.50, 51 of 101
    golds = [{"box": [0, 0, 10, 10], "label": "a"}, {"box": [20, 0, 30, 10], "label": "a"}]
    text = json_answer(([60, 60, 70, 70], "a"), ([0, 0, 10, 10], "a"))
    assert box_average_precision(rollout(text, boxes=golds), iou_thresholds=(0.5,)) == pytest.approx(0.5 * 51 / 101, abs=1e-9)
    # a label that no gold has costs nothing, unless extra boxes do
    text = json_answer(([0, 0, 10, 10], "a"), ([20, 0, 30, 10], "b"), ([1, 1, 2, 2], "z"), ([1, 1, 2, 2], "y"))
    assert box_average_precision(rollout(text, boxes=TWO)) == 1.0
    assert box_average_precision(rollout(text, boxes=TWO), punish_extra=True) == 0.5


def test_confidence_ranks_the_boxes_where_asked() -> None:
    text = "[{'Position': [50,50,60,60], 'Confidence': 0.1}, {'Position': [0,0,10,10], 'Confidence': 0.9}]"
    given = rollout(text, boxes=[[0, 0, 10, 10]])
    assert box_average_precision(given) == pytest.approx(0.5)
    assert box_average_precision(given, use_confidence=True) == 1.0


WHOLE_BOX = st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 20)] * 2).map(lambda n: [n[0], n[1], n[0] + n[2], n[1] + n[3]])


@given(st.lists(WHOLE_BOX, max_size=5), st.lists(WHOLE_BOX, min_size=1, max_size=5))
def test_set_rewards_are_bounded_and_full_for_the_gold_itself(answers: list[list[int]], golds: list[list[int]]) -> None:
    for written, least in ((answers, 0.0), (golds, 1.0)):
        text = str([{"Position": box, "Confidence": 1.0} for box in written])
        for reward in (box_set_iou, box_confidence, box_set_score, box_average_precision):
            value = reward(rollout(text, boxes=golds))
            assert value is not None
            assert least - 1e-9 <= value <= 1.0 + 1e-9


def test_every_preset_fits_its_function_and_passes_its_check() -> None:
    checks = {"box_overlap": check_overlap, "point_in_box": boxes.check_point}
    num_presets = 0
    for presets, module in ((boxes.PRESETS, boxes), (box_sets.PRESETS, box_sets)):
        for name, named in presets.items():
            defaults = {parameter.name: parameter.default for parameter in schema_of(getattr(module, name)).parameters}  # type: ignore[union-attr]
            for preset in named.values():
                num_presets += 1
                assert set(preset) <= set(defaults)
                assert checks.get(name, check_sets)({**defaults, **preset}, None) == []
    assert num_presets == 6 + 4 + 5 + 5 + 5 + 7


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"metric": "giou", "threshold": None, "offset": 0.0, "unread": 0.0}, "worth 0.0, more than"),
        ({"metric": "giou", "overlap": "vlm_r1", "threshold": 0.5}, "rule for IoU"),
        ({"metric": "iou", "threshold": 0.0}, "threshold"),
        ({"metric": "iou", "threshold": 1.5}, "threshold"),
    ],
)
def test_parameters_that_do_not_fit_together_are_said(arguments: dict, cause: str) -> None:
    faults = check_overlap(arguments, None)
    assert len(faults) == 1
    assert cause in faults[0]


def test_set_parameters_that_do_not_fit_together_are_said() -> None:
    assert len(check_sets({"min_iou": 1.0}, None)) == len(check_sets({"iou_thresholds": ()}, None)) == 1
    assert len(check_sets({"position_weight": 0.0, "label_weight": 0.0, "completeness_weight": 0.0}, None)) == 1


def test_the_recipes_pixel_budget_is_the_rewards_unless_its_params_say_so() -> None:
    from vlmpost import rewards
    from vlmpost.config.schema import ModelConfig, RewardTermConfig

    assert ModelConfig(image_min_pixels=3136).pixel_budget is None
    budget = ModelConfig(image_min_pixels=3136, image_max_pixels=50176).pixel_budget
    filled = rewards.build([RewardTermConfig(name="box_overlap", params={"preset": "qwen2_5_vl"})], pixel_budget=budget).terms[0].arguments
    assert (filled["image_min_pixels"], filled["image_max_pixels"]) == (3136, 50176)
    said = {"image_min_pixels": 4, "image_max_pixels": 8}
    own = rewards.build([RewardTermConfig(name="box_overlap", params=said)], pixel_budget=budget).terms[0].arguments
    assert (own["image_min_pixels"], own["image_max_pixels"]) == (4, 8)
