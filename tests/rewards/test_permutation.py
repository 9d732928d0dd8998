"""The jigsaw reward: the paper's reading and the released code's."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import GraderError
from vlmpost.records import Example, Rollout
from vlmpost.rewards.binding import schema_of
from vlmpost.rewards.correctness import accuracy, verdict_of
from vlmpost.rewards.permutation import PRESETS, check_permutation, permutation

PAPER, REPO, NOTHINK = (PRESETS["permutation"][name] for name in ("paper", "repo", "repo_nothink"))
NINE = [1, 2, 3, 4, 5, 6, 7, 8, 9]
LINE = "so the seventh tile goes to the left\n"


def rollout(text: str, order: object = None, *, answer: str | None = None, kind: str = "text") -> Rollout:
    meta = {} if order is None else {"order": order}
    return Rollout(Example("q1", "jigsaw", (), answer=answer, answer_type=kind, meta=meta), text, (), "stop")  # type: ignore[arg-type]


def tagged(answer: str) -> str:
    return f"<think> look </think> <answer> {answer} </answer>"


def boxed(answer: str) -> str:
    return f"<think> look </think> \\boxed{{{answer}}}"


def listed(order: list[int]) -> str:
    return ", ".join(map(str, order))


def paper(answer: str, order: list[int] = NINE) -> float | None:
    return permutation(rollout(tagged(answer), order), **PAPER)  # type: ignore[arg-type]


def repo(text: str, order: list[int] = NINE) -> float | None:
    return permutation(rollout(text, order), **REPO)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("num_pieces", "highest", "mean"),
    [(9, 0.1556, 0.0222), (6, 0.1333, 0.0333), (16, 0.175, 0.0125)],
)
def test_reference_values_of_partial_credit(num_pieces: int, highest: float, mean: float) -> None:
    order = list(range(1, num_pieces + 1))
    swapped = [2, 1, *order[2:]]
    assert permutation(rollout(listed(swapped), order)) == pytest.approx(0.2 * (num_pieces - 2) / num_pieces, abs=1e-9)
    assert round(0.2 * (num_pieces - 2) / num_pieces, 4) == highest
    turns = [order[shift:] + order[:shift] for shift in range(num_pieces)]  # each piece is once at each place: one right on average
    partial = [permutation(rollout(listed(turn), order), partial_weight=0.2) for turn in turns[1:]]
    assert partial == [0.0] * (num_pieces - 1)
    assert round(0.2 / num_pieces, 4) == mean


@pytest.mark.parametrize(
    ("answer", "by_paper", "by_repo"),
    [
        ("1, 2, 3, 4, 5, 6, 7, 8, 9", 1.2, 1.2),
        ("2, 1, 3, 4, 5, 6, 7, 8, 9", 0.2 + 0.2 * 7 / 9, 0.2 + 0.2 * 7 / 9),
        ("2, 3, 4, 5, 6, 7, 8, 9, 1", 0.2, 0.2),
        ("1, 2, 3, 4, 5, 6, 10, 8, 9", 0.2, 0.2 + 0.2 * 8 / 9),  # 0.178 beside the form
        ("1, 2, 3, 4, 5, 6, 7, 8, 9, 9", 0.2, 0.2 + 0.2),
        ("1, 2, 3, 4, 5, 6, 7, 8, -9", 0.2, 0.2 + 0.2 * 8 / 9),
        ("1, 2, 3, 4, 5, 6, 7, 8", 0.2, 0.2),
        ("1, 1, 3, 4, 5, 6, 7, 8, 9", 0.2, 0.2),
        ("", 0.0, 0.2),  # a blank answer block is no form
    ],
)
def test_paper_and_code_differ_in_what_is_valid(answer: str, by_paper: float, by_repo: float) -> None:
    assert paper(answer) == pytest.approx(by_paper, abs=1e-9)
    assert repo(boxed(answer)) == pytest.approx(by_repo, abs=1e-9)


@pytest.mark.parametrize("num_pieces", [2, 3, 4])
def test_four_pieces_and_fewer_earn_a_part_only_by_the_paper(num_pieces: int) -> None:
    order = list(range(1, num_pieces + 1))
    one_right = [1, *order[2:], 2] if num_pieces > 2 else [2, 1]
    share = (1 if num_pieces > 2 else 0) / num_pieces
    assert paper(listed(one_right), order) == pytest.approx(0.2 + 0.2 * share, abs=1e-9)
    assert repo(boxed(listed(one_right)), order) == 0.2
    assert permutation(rollout(listed(one_right), order)) == 0.0
    assert repo(boxed(listed(order)), order) == 1.2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (boxed("1,2,3,4,5"), 1.2),
        (" " + boxed("1,2,3,4,5"), 0.0),  # leading blank
        ("Well: " + boxed("1,2,3,4,5"), 0.0),
        ("<think> \\boxed{1,2,3,4,5} </think> 1,2,3,4,5", 0.0),  # box only in the thinking
        (tagged("1,2,3,4,5"), 0.0),  # answer tags are not enough
        ("<think> a </think> \\boxed{2,1,3,4,5} or \\boxed{1,2,3,4,5}", 1.2),  # the last box
        ("<think> a </think> \\boxed{1,2,3,4,5} or \\boxed{1,2", 0.2),  # the last one stays open
        ("<think> a </think> \\boxed{1,2,3,4,5} and more", 1.2),
        ("<think> a </think> b </think> \\boxed{1,2,3,4,5}", 1.2),
        ("<think> a \\boxed{1,2,3,4,5}", 0.0),
        (boxed("01, +2, 3, 4, 0_5"), 1.2),
        (boxed("\uff11,2,3,4,5"), 1.2),
        (boxed("[1,2,3,4,5]"), 0.2),
        (boxed("1,2,3,4,5,"), 0.2),
        (boxed("1,2,3,4,5."), 0.2),
        (boxed("1.0,2,3,4,5"), 0.2),
        (boxed("1\uff0c2\uff0c3\uff0c4\uff0c5"), 0.2),
        (boxed("\\text{1,2,3,4,5}"), 0.2),
        (boxed("{1,2,3,4,5}"), 0.2),
        (boxed("Tile 1,2,3,4,5"), 0.2),
    ],
)
def test_the_released_code_s_oddities(text: str, value: float) -> None:
    assert repo(text, [1, 2, 3, 4, 5]) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (tagged("1,2,3,4,5"), 1.2),
        ("  " + tagged("1,2,3,4,5") + "\n", 1.2),
        (tagged("[1, 2, 3, 4, 5]"), 1.2),
        (tagged("1,2,3,4,5") + " done", 0.0),
        (boxed("1,2,3,4,5"), 0.0),
        ("1,2,3,4,5", 0.0),
        ("<think>a</think> so <answer>1,2,3,4,5</answer>", 0.0),
        ("<answer>1,2,3,4,5</answer><think>a</think>", 0.0),
        ("<think>a</think><answer>9</answer><answer>1,2,3,4,5</answer>", 0.0),
    ],
)
def test_the_paper_wants_think_and_answer_tags(text: str, value: float) -> None:
    assert permutation(rollout(text, [1, 2, 3, 4, 5]), **PAPER) == pytest.approx(value, abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "value"),
    [("1,2,3,4,5", 1.0), (" 1, 2, 3, 4, 5\n", 1.0), ("2,1,3,4,5", 0.2 * 3 / 5), ("it is 1,2,3,4,5", 0.0), (boxed("1,2,3,4,5"), 0.0)],
)
def test_without_thinking_the_whole_response_is_the_list(answer: str, value: float) -> None:
    assert permutation(rollout(answer, [1, 2, 3, 4, 5]), **NOTHINK) == pytest.approx(value, abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "repeated"),
    [
        (LINE * 3, False),
        (LINE * 4, True),
        (LINE * 2 + "\n \n" + LINE.upper() + "  " + LINE, True),  # blank lines, case and margins do not count
        (LINE * 3 + "short line\n" + LINE * 3, False),
        (LINE * 3 + "another line that is long enough to count\n" + LINE * 3, False),
        ("six words are not enough here\n" * 9, False),
        (LINE.strip() * 4, False),
    ],
)
def test_one_line_four_times_in_a_row_costs_half_a_point(lines: str, repeated: bool) -> None:
    text = f"<think>\n{lines}</think> \\boxed{{1,2,3,4,5}}"
    assert repo(text, [1, 2, 3, 4, 5]) == pytest.approx(0.7 if repeated else 1.2, abs=1e-9)
    assert permutation(rollout(lines, [1, 2, 3, 4, 5]), **NOTHINK) == (-0.5 if repeated else 0.0)  # type: ignore[arg-type]


def test_a_wrong_form_costs_all_and_no_more() -> None:
    assert repo(LINE * 9) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "3, 1, 2",
        "[3, 1, 2]",
        "The order is: 3, 1, 2.",
        "<answer>3,1,2</answer>",
        r"\boxed{3,1,2}",
        r"\boxed{\text{3, 1, 2}}",
        r"so \boxed{3 \rightarrow 1 \rightarrow 2}",
        "3 -> 1 -> 2",
        "3 1 2",
        "Tile 3, Tile 1, Tile 2",
        "**3\uff0c1\uff0c2**",
        "<think>1, 2, 3</think>I think\nso\n3, 1, 2",
    ],
)
def test_the_default_reads_plain_lists_wherever_an_answer_stands(text: str) -> None:
    assert permutation(rollout(text, [3, 1, 2])) == 1.0
    assert permutation(rollout(text, answer="3,1,2")) == 1.0


@pytest.mark.parametrize(
    "text", ["", "3, 1", "three, one, two", "<answer>3,1,2", "<think>3,1,2", "3, 1, 2, 2", "3.5, 1, 2", "[eval('3'),1,2]"]
)
def test_what_is_no_order_is_worth_nothing(text: str) -> None:
    assert permutation(rollout(text, [3, 1, 2])) == 0.0


@pytest.mark.parametrize(
    ("order", "answer"),
    [
        ([1, 3], None),
        ([0, 1, 2], None),
        ([1, 1, 2], None),
        ([1], None),
        ([], None),
        ("1,2,3", None),
        ([1, 2.0, 3], None),
        (None, "a dog"),
        (None, "1,3"),
    ],
)
def test_a_gold_that_is_no_permutation_is_an_error(order: object, answer: str | None) -> None:
    with pytest.raises(GraderError, match="gold order"):
        permutation(rollout("1,2,3", order, answer=answer))


@pytest.mark.parametrize(("answer", "kind"), [(None, "text"), ("B", "choice"), ("7", "number")])
def test_questions_without_an_order_are_left_out(answer: str | None, kind: str) -> None:
    assert permutation(rollout("1,2,3", answer=answer, kind=kind)) is None


@given(st.permutations(NINE), st.lists(st.integers(-2, 11), max_size=12))
def test_rewards_are_bounded(order: list[int], answer: list[int]) -> None:
    for preset, text in ((PAPER, tagged(listed(answer))), (REPO, boxed(listed(answer))), (NOTHINK, listed(answer)), ({}, listed(answer))):
        value = permutation(rollout(text, order), **preset)  # type: ignore[arg-type]
        bonus = preset.get("format_bonus", 0.0) if answer or preset is not PAPER else 0.0
        assert value is not None
        assert bonus <= value <= bonus + 1  # type: ignore[operator]
        assert (value > bonus + 0.5) == (answer == order)  # type: ignore[operator]


@given(st.text(alphabet="<think>/\\boxed{}answer ,123\n", max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    for preset in (PAPER, REPO, NOTHINK, {}):
        value = permutation(rollout(text, [1, 2, 3, 4, 5]), **preset)  # type: ignore[arg-type]
        assert value is not None
        assert 0.0 <= value <= 1.2


@pytest.mark.parametrize(
    "text", ["1," * 3_000_000, "<think>" * 10**6, "<think></think>\\boxed{" + "{" * 10**6, LINE * 100_000, "9" * 10**7]
)
def test_long_texts_cost_little(text: str) -> None:
    start = time.perf_counter()
    for preset in (PAPER, REPO, NOTHINK, {}):
        permutation(rollout(text, NINE), **preset)  # type: ignore[arg-type]
    assert time.perf_counter() - start < 4.0


def test_every_preset_fits_the_function_and_passes_its_check() -> None:
    defaults = {parameter.name: parameter.default for parameter in schema_of(permutation).parameters}  # type: ignore[union-attr]
    assert check_permutation(defaults, None) == []
    assert len(PRESETS["permutation"]) == 3
    for preset in PRESETS["permutation"].values():
        assert set(preset) <= set(defaults)
        assert check_permutation({**defaults, **preset}, None) == []


@pytest.mark.parametrize(
    "arguments",
    [{"partial_weight": 1.5}, {"repeat_penalty": 0.5}, {"format_bonus": 0.2, "form": "any"}, {"min_partial_items": 1}, {"max_repeats": 0}],
)
def test_parameters_that_do_not_fit_together_are_said(arguments: dict) -> None:
    assert len(check_permutation(arguments, None)) == 1


@pytest.mark.parametrize("thought", ["", " ", "\n", "tile 2 has the sky"])
def test_the_paper_asks_for_tags_and_not_for_a_thought_between_them(thought: str) -> None:
    text = f"<think>{thought}</think><answer>2,3,1</answer>"
    assert permutation(rollout(text, [2, 3, 1]), **PRESETS["permutation"]["paper"]) == pytest.approx(1.2, abs=1e-9)
    assert permutation(rollout(f"{text} done", [2, 3, 1]), **PRESETS["permutation"]["paper"]) == 0.0


@pytest.mark.parametrize(
    ("text", "outcome"),
    [("\\boxed{2,3,1}", "correct"), ("\\boxed{1,2,3}", "wrong"), ("\\boxed{2,3}", "wrong"), ("I cannot tell.", "unparsed")],
)
def test_an_order_is_no_set_for_accuracy_either(text: str, outcome: str) -> None:
    judged = rollout(text, [2, 3, 1], answer="2,3,1")
    assert verdict_of(judged).outcome == outcome
    assert accuracy(judged) == (outcome == "correct")
