"""The GeneralPoints verifier: classes, both reward tables, reading of replies, hostile replies."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.errors import GraderError
from vlmpost.records import Example, Message, Rollout
from vlmpost.rewards.general_points import PAPER, REPO, Hand, general_points, grade
from vlmpost.rewards.table import find

TEXT = Hand(labels=("4", "3", "2", "K"), values=(4, 3, 2, 10), target=24)
VISION = Hand(labels=("4", "3", "2", "K"), values=(4, 3, 2, 10), target=24, mode="vision")
EIGHTS = Hand(labels=("3", "3", "8", "8"), values=(3, 3, 8, 8), target=24)


def said(formula: str) -> str:
    """A reply in the study's form: no JSON, as its last field ends in a comma."""
    return f"{{\n  \"cards\": ['4', '3', '2', 'K'],\n  \"number\": [4, 3, 2, 10],\n  \"formula\": \"{formula}\",\n}}"


CORRECT, PARTIAL, NONE = "CORRECT_SOLUTION", "PARTIAL_SOLUTION", "NO_SOLUTION"
ILLEGAL, NUMBER, VISUAL = "ILLEGAL_FORMULA", "INCORRECT_NUMBER", "INCORRECT_VISION"

# (formula, outcome, reward under paper, reward under repo): hand 4 3 2 K, K = 10, target 24. The last column is what the released code
# says; the charges behind its sums stand beside them.
FORMULAS = [
    ("4*3+2+10=24", CORRECT, 5, 5),
    ("4*3+2+10", CORRECT, 5, 5),  # the right-hand side may be missing
    ("4*3+2+10=25", CORRECT, 5, 5),  # and is never checked
    ("4*3+2+10=24=24", CORRECT, 5, 5),
    ("(4*3)+(2+10)=24", CORRECT, 5, 5),
    ("((4*3+2+10))=24", CORRECT, 5, 5),
    ("10*3-(4+2)", CORRECT, 5, 5),
    ("24=4*3+2+10", NUMBER, -2, -4),  # 24 is foreign; all four are left over
    ("=24", NUMBER, -2, -2),  # all four are left over
    ("", NUMBER, -2, -2),
    ("4*3+2*10", NONE, -1, -1),
    ("4+3+2+10=24", NONE, -1, -1),
    ("4*3+2+1", NUMBER, -2, -4),  # 1 is foreign, 10 left over
    ("4*3+2+11", NUMBER, -2, -4),
    ("4*3+2", NUMBER, -2, -2),  # 10 left over
    ("4*3+2+10+10", NUMBER, -2, -2),  # 10 used twice
    ("4*3+2+2+10", NUMBER, -2, -2),
    ("5+6+7+8", NUMBER, -2, -4),
    ("102+4+3", NUMBER, -2, -4),  # digits side by side are one number
    ("4 * 3 + 2 + 10 = 24", ILLEGAL, -3, -3),
    ("4x3+2+10", ILLEGAL, -3, -3),
    ("4\u00d73+2+10", ILLEGAL, -3, -3),
    ("4*3+2+10.0", ILLEGAL, -3, -3),
    ("4*[3]+2+10", ILLEGAL, -3, -3),
    ("K+4*3+2", ILLEGAL, -3, -3),
    ("None", ILLEGAL, -3, -3),
    ("4*3+2+10)", ILLEGAL, -3, -3),
    ("-4+3+2+10", ILLEGAL, -3, -3),
    ("4**3+2+10", ILLEGAL, -3, -3),
    ("4*3++2+10", ILLEGAL, -3, -3),
    ("4*3+2+10()", ILLEGAL, -3, -6),  # ( after a number, ) not after one
    ("4(3)+2+10", ILLEGAL, -3, -6),  # ( after a number, its ) closes nothing
    ("2(3+4)+10", ILLEGAL, -3, -6),
    ("2(3+4)+4", ILLEGAL, -3, -10),  # the two brackets, 4 used twice, 10 left over
    (")4*3+2+10", ILLEGAL, -3, -6),  # ) first, a number after )
    ("4*3+(2+10", PARTIAL, -3, 1),  # 4*3+(2+10) is a solution
    ("3*4+(10+2", PARTIAL, -3, 1),
    ("(4*3+2+10", NONE, -1, -1),  # no solution begins so: brackets around all are in none
    ("4*3+2+10+", NONE, -1, -1),
    ("(10+2)*(4-3", NONE, -1, -1),  # (10+2)*(4-3) is 12
    ("10/(3+2-4", NONE, -1, -1),
    ("04*3+2+10", NONE, -1, -1),  # no number begins with 0
]


@pytest.mark.parametrize(("formula", "outcome", "paper", "repo"), FORMULAS)
def test_formulas_are_graded_by_both_tables(formula: str, outcome: str, paper: float, repo: float) -> None:
    for hand in (TEXT, VISION):
        by_paper, by_repo = grade(said(formula), hand, rewards="paper"), grade(said(formula), hand, rewards="repo")
        assert (by_paper.outcome, by_paper.reward) == (outcome, paper)
        assert (by_repo.outcome, by_repo.reward) == (outcome, repo)
        assert by_paper.correct == by_repo.correct == (outcome == CORRECT)


def test_every_class_of_text_mode_is_among_the_formulas() -> None:
    assert len(FORMULAS) == 42
    assert {outcome for _, outcome, _, _ in FORMULAS} == {CORRECT, PARTIAL, NONE, ILLEGAL, NUMBER}


@pytest.mark.parametrize(
    ("formula", "outcome", "paper", "repo"),
    [
        ("\uff14*3+2+10", ILLEGAL, -3, -1),  # a full-width 4 passes for a digit there, and has no value
        ("4*3+2+1\uff10", ILLEGAL, -3, -1),
    ],
)
def test_defects_of_the_released_code_are_in_repo_only(formula: str, outcome: str, paper: float, repo: float) -> None:
    by_paper, by_repo = grade(said(formula), TEXT, rewards="paper"), grade(said(formula), TEXT, rewards="repo")
    assert (by_paper.outcome, by_paper.reward) == (outcome, paper)
    assert by_repo.reward == repo


@pytest.mark.parametrize("formula", ["4*3+2+10 = 24", " 4*3+2+10=24", "4 * 3+2+10"])
def test_blanks_are_illegal_characters_in_both_tables(formula: str) -> None:
    for table in ("paper", "repo"):
        assert (grade(said(formula), TEXT, rewards=table).outcome, grade(said(formula), TEXT, rewards=table).reward) == (ILLEGAL, -3.0)


@pytest.mark.parametrize("reply", ['{"formula":"4*3+2+10",}', '{"formula":  "4*3+2+10",}', '{\n"formula" :\n"4*3+2+10",\n}'])
def test_blanks_at_a_colon_outside_json_do_not_matter_in_paper(reply: str) -> None:
    assert grade(reply, TEXT, rewards="paper").outcome == CORRECT
    assert (grade(reply, TEXT, rewards="repo").outcome, grade(reply, TEXT, rewards="repo").extracted) == (ILLEGAL, None)


def test_exact_solution_that_misses_in_floats_is_right_in_paper_and_worth_nothing_in_repo() -> None:
    assert grade(said("8/(3-8/3)=24"), EIGHTS, rewards="paper").outcome == CORRECT
    step = grade(said("8/(3-8/3)=24"), EIGHTS, rewards="repo")
    assert (step.outcome, step.reward, step.violations, step.correct) == (NONE, 0.0, (), False)
    assert step.feedback == "This attempt failed because ."
    # The same value in a form that the released solver does not write.
    assert grade(said("8/((3-8/3))=24"), EIGHTS, rewards="repo").reward == -1
    assert grade(said("8/((3-8/3))=24"), EIGHTS, rewards="paper").outcome == CORRECT


@pytest.mark.parametrize(
    ("labels", "values", "formula"),
    [
        (("A", "4", "5", "6"), (1, 4, 5, 6), "6/(5/4-1)"),
        (("3", "7", "9", "K"), (3, 7, 9, 13), "7*9-3*13"),
        (("A", "3", "4", "6"), (1, 3, 4, 6), "6/(1-3/4)"),
        (("3", "3", "7", "7"), (3, 3, 7, 7), "(3+3/7)*7"),
        (("A", "5", "5", "5"), (1, 5, 5, 5), "(5-1/5)*5"),
    ],
)
def test_rational_answers_are_accepted(labels: tuple[str, ...], values: tuple[int, ...], formula: str) -> None:
    assert grade(said(formula), Hand(labels, values, 24), rewards="paper").outcome == CORRECT


def test_division_by_zero_is_no_solution() -> None:
    hand = Hand(("5", "5", "2", "3"), (5, 5, 2, 3), 24)
    for table in ("paper", "repo"):
        assert (grade(said("2*3/(5-5)"), hand, rewards=table).outcome, grade(said("2*3/(5-5)"), hand, rewards=table).reward) == (NONE, -1)


def test_the_same_reply_flips_with_the_face_rule() -> None:
    labels = ("4", "3", "2", "K")
    ten, rank = Hand(labels, (4, 3, 2, 10), 24), Hand(labels, (4, 3, 2, 13), 24)
    assert grade(said("4*3+2+10"), ten, rewards="paper").outcome == CORRECT
    assert grade(said("4*3+2+10"), rank, rewards="paper").outcome == NUMBER
    assert grade(said("13*2-4/2"), rank, rewards="paper").outcome == NUMBER
    assert grade(said("13+2*4+3"), rank, rewards="paper").outcome == CORRECT
    assert grade(said("13+2*4+3"), ten, rewards="paper").outcome == NUMBER


def test_violations_are_all_charges_and_add_up_under_repo() -> None:
    step = grade(said("2(3+4)+4"), TEXT, rewards="repo")
    assert step.violations == (ILLEGAL, ILLEGAL, NUMBER, NUMBER)
    assert step.reward == -3 - 3 - 2 - 2
    assert grade(said("4*3+2+11"), TEXT, rewards="paper").violations == (NUMBER, NUMBER)
    assert grade(said("4*3+(2+10"), TEXT, rewards="repo").violations == ()
    assert grade(said("4*3+(2+10"), TEXT, rewards="paper").violations == (ILLEGAL,)
    assert grade(said("4*3+2*10"), TEXT, rewards="paper").violations == ()  # within the rules, and not 24
    assert grade(said("4*3+2+10"), TEXT, rewards="paper").violations == ()


# (what stands at "cards", whether the hand is recognised under paper, under repo), in the study's form.
CARDS = [
    ("['4', '3', '2', 'K']", True, True),
    ("['K', '2', '3', '4']", True, True),  # in any order
    ("[4, 3, 2, K]", True, True),
    ("[4,3,2,K]", True, True),
    ("[ '4','3' , '2', 'K' ]", True, True),
    ('["4", "3", "2", "K"]', True, False),  # double quotes stay on the labels there
    ("['4', '3', '2', '10']", False, False),  # labels, not values
    ("['4', '3', '2', 'k']", False, False),
    ("['4', '3', '2', 'SK']", False, False),
    ("[4, 3, 2, 13]", False, False),
    ("[4, 3, 2, 10]", False, False),
    ("['4', '3', '2']", False, False),
    ("['4', '3', '2', 'K', 'K']", False, False),
    ("['4', '3', '2', 'Q']", False, False),
    ("[]", False, False),
    ("'4', '3', '2', 'K'", False, False),
]


@pytest.mark.parametrize(("cards", "paper", "repo"), CARDS)
def test_cards_are_recognised(cards: str, paper: bool, repo: bool) -> None:
    reply = f'{{"cards": {cards}, "number": [4, 3, 2, 10], "formula": "4*3+2+10=24",}}'
    for table, expected in (("paper", paper), ("repo", repo)):
        step = grade(reply, VISION, rewards=table)
        assert step.recognised is expected
        assert (step.outcome, step.reward) == ((CORRECT, 5) if expected else (VISUAL, -1.5))
        assert step.violations == (() if expected else (VISUAL,))


@pytest.mark.parametrize(
    ("cards", "paper", "repo"),
    [
        (["4", "3", "2", "K"], True, False),  # the released code discards a real list
        ([4, 3, 2, "K"], True, False),
        ("['4', '3', '2', 'K']", True, True),
        ("4, 3, 2, K", True, True),
        (["4", "3", "2", "10"], False, False),
        ([4, 3, 2, None], False, False),
        ([4, 3, 2, True], False, False),
        ([["4", "3", "2", "K"]], False, False),
        (None, False, False),
        (7, False, False),
        ({"4": 3, "2": "K"}, False, False),
    ],
)
def test_cards_of_true_json_are_recognised(cards: object, paper: bool, repo: bool) -> None:
    reply = json.dumps({"cards": cards, "number": [], "formula": "4*3+2+10=24"})
    assert grade(reply, VISION, rewards="paper").recognised is paper
    assert grade(reply, VISION, rewards="repo").recognised is repo


def test_four_whole_numbers_are_discarded_by_repo_only_with_a_blank_between_them() -> None:
    hand = Hand(("4", "4", "10", "10"), (4, 4, 10, 10), 24, mode="vision")
    spaced = '{"cards": [4, 4, 10, 10], "formula": "(10*10-4)/4",}'
    tight = '{"cards": [4,4,10,10], "formula": "(10*10-4)/4",}'
    assert [grade(spaced, hand, rewards=table).outcome for table in ("paper", "repo")] == [CORRECT, VISUAL]
    assert [grade(tight, hand, rewards=table).outcome for table in ("paper", "repo")] == [CORRECT, CORRECT]


def test_vision_comes_before_the_formula_and_recognition_stands_apart_from_success() -> None:
    wrong_cards = "{\"cards\": ['4', '3', '2', 'Q'], \"formula\": \"not a formula\",}"
    assert grade(wrong_cards, VISION, rewards="paper").outcome == VISUAL
    assert grade('"formula": "4*3+2+10"', VISION, rewards="paper").outcome == VISUAL
    assert grade(said("1+1"), VISION, rewards="paper").recognised is True
    assert grade(wrong_cards, TEXT, rewards="paper").outcome == ILLEGAL  # text mode does not look at cards
    assert grade(wrong_cards, TEXT, rewards="paper").recognised is None


@pytest.mark.parametrize(
    ("reply", "formula"),
    [
        ('{"formula": "4*3+2+10=24"}', "4*3+2+10"),
        ('  {"formula":"4*3+2+10"}\n', "4*3+2+10"),  # true JSON may be tight
        ('```json\n{"cards": [], "formula": "4*3+2+10"}\n```', "4*3+2+10"),
        ('Here you are: "formula": "4*3+2+10", done.', "4*3+2+10"),
        ('{"formula": "1+1", "formula": "4*3+2+10"}', "4*3+2+10"),  # the last in JSON
        ('{"formula": "4*3+2+10", "formula": "1+1",}', "4*3+2+10"),  # the first in text
        ('{"formula": "4\\u002a3+2+10"}', "4*3+2+10"),  # escapes decode in JSON
        ('{"formula": "4\\u002a3+2+10",}', "4\\u002a3+2+10"),  # and not in text
        ('{"a": {"formula": "4*3+2+10"}}', "4*3+2+10"),  # not at the top: found in the text
        ('[{"formula": "4*3+2+10"}]', "4*3+2+10"),
        ("{'formula': '4*3+2+10'}", None),
        ("{\"formula\": '4*3+2+10',}", None),
        ('"formula": "4*3\n+2+10"', None),  # a line break inside
        ('"Formula": "4*3+2+10"', None),
        ("4*3+2+10=24", None),
        ("", None),
        ("null", None),
        ('{"formula": 24}', None),
        ('{"formula": null}', None),
        ('{"formula": ["4*3+2+10"]}', None),
        ('{"formula": {"a": "4*3+2+10"}}', None),
        ('{"formula": true}', None),
    ],
)
def test_replies_are_read(reply: str, formula: str | None) -> None:
    for table in ("paper", "repo"):
        step = grade(reply, TEXT, rewards=table)
        assert step.extracted == formula
        assert step.outcome == (CORRECT if formula == "4*3+2+10" else ILLEGAL)


def test_thoughts_are_left_out_in_paper_only() -> None:
    reply = f"<think>{said('1+1')}</think>{said('4*3+2+10')}"
    assert grade(reply, TEXT, rewards="paper").outcome == CORRECT
    assert grade(reply, TEXT, rewards="repo").outcome == NUMBER


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("4*3+2+10", CORRECT),
        (" 4*3+2+10=24\n", CORRECT),
        ("<think>4+3 is 7, so</think>\n4*3+2+10=24", CORRECT),
        ("4*3+2*10", NONE),
        ("4*3+2", NUMBER),
        ("The answer is 4*3+2+10", ILLEGAL),
        ("", NUMBER),
    ],
)
def test_bare_formulas_are_read_where_the_hand_asks_for_them(reply: str, outcome: str) -> None:
    for mode in ("text", "vision"):
        step = grade(reply, Hand(TEXT.labels, TEXT.values, 24, mode=mode, reply_style="formula"), rewards="paper")
        assert (step.outcome, step.recognised) == (outcome, None)


@pytest.mark.parametrize(
    ("formula", "parts"),
    [
        ("4*3+2+11", ["not in the hand: [11]", "left over: [10]"]),
        ("4*3+2+10+10", ["too often: [10]"]),
        ("4*3+2*10", ["begins with 4*3+2 "]),
        ("10-4-3-2", ["begins with 10 "]),  # no solution begins with a 10-
        ("4x3", ["may not stand"]),
        ("4(3)+2+10", ["an opening bracket follows", "never opened"]),
    ],
)
def test_feedback_names_what_is_wrong(formula: str, parts: list[str]) -> None:
    step = grade(said(formula), TEXT, rewards="repo")
    assert step.feedback is not None
    assert step.feedback.startswith("This attempt failed because ") and step.feedback.endswith(".")
    for part in parts:
        assert part in step.feedback


def test_feedback_does_not_reveal_the_cards_and_is_absent_after_a_right_reply() -> None:
    feedback = grade("{\"cards\": ['2', '2', '2', '2'], \"formula\": \"2+2+2+2\",}", VISION, rewards="paper").feedback
    assert feedback is not None and not any(label in feedback for label in VISION.labels)
    assert grade(said("4*3+2+10"), VISION, rewards="paper").feedback is None


MEGA = 1_000_000
HOSTILE = {
    "brackets": said("(" * 10_000),
    "bracket pairs": said("(" * 10_000 + "1" + ")" * 10_000),
    "a megabyte of brackets": "(" * MEGA,
    "deep JSON list": "[" * MEGA,
    "deep JSON object": '{"formula":' * (MEGA // 11),
    "wide JSON": '{"formula": ' + "[1," * 30_000,
    "huge integer": said("9" * MEGA),
    "eleven digits": said("12345678901+1"),
    "huge JSON integer": '{"formula": ' + "9" * 50_000 + "}",
    "JSON integer": '{"formula": 24}',
    "NaN": '{"formula": NaN}',
    "infinity": '{"formula": -Infinity}',
    "long sum": said("1+" * (MEGA // 2) + "1"),
    "many keys in text": '"formula": "\n' * (MEGA // 13),
    "many lists in text": '"cards": [' * (MEGA // 10),
    "many empty lists in text": '"cards": []' * (MEGA // 11),
    "one long list": '"cards": [' + "1, " * (MEGA // 3) + "]",
    "quotes": '"formula": "' + "\\" * MEGA,
    "code": said("__import__('os').system('true')"),
    "attribute": said("().__class__"),
    "power tower": said("9**9**9**9"),
    "comparison": said("1<2"),
    "nul": "\x00" * MEGA,
    "lone surrogate": said("\ud800"),
    "other digits": said("\u0664" * MEGA),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_replies_are_illegal_in_bounded_time(name: str) -> None:
    for table in ("paper", "repo"):
        for hand in (TEXT, VISION):
            start = time.process_time()
            step = grade(HOSTILE[name], hand, rewards=table)
            assert time.process_time() - start < 0.2, name  # measured below 0.03; a busy machine is no failure
            assert step.outcome in (ILLEGAL, VISUAL)
            assert hand is VISION or step.outcome == ILLEGAL
            assert table == "repo" or step.reward == PAPER[step.outcome]
            assert step.feedback is not None and len(step.feedback) < 1000


FORMULA_TEXT = st.text(alphabet="01234568+-*/()=", max_size=16)


@given(FORMULA_TEXT)
def test_repo_rewards_are_the_sum_of_the_charges(formula: str) -> None:
    step = grade(said(formula), TEXT, rewards="repo")
    if step.outcome in (CORRECT, PARTIAL):
        assert not step.violations
    else:
        assert step.reward == sum({ILLEGAL: -3, NUMBER: -2, NONE: -1}[violation] for violation in step.violations)


@given(st.one_of(FORMULA_TEXT.map(said), st.text(max_size=60)), st.sampled_from([TEXT, VISION, EIGHTS]))
def test_any_reply_gets_one_class_and_its_reward(reply: str, hand: Hand) -> None:
    step = grade(reply, hand, rewards="paper")
    assert step.reward == PAPER[step.outcome]
    assert step.correct == (step.outcome == CORRECT) == (step.feedback is None)
    assert grade(reply, hand, rewards="repo").outcome in REPO


def rollout(text: str, meta: dict[str, object]) -> Rollout:
    example = Example(id="e", task="general_points", prompt=(Message("user", ("?",)),), meta=meta)
    return Rollout(example=example, text=text, token_ids=(), stop_reason="stop")


META = {"cards": ["4", "3", "2", "K"], "values": [4, 3, 2, 10], "target": 24, "mode": "text", "reply_style": "json"}


def test_reward_reads_the_hand_from_the_example() -> None:
    assert general_points(rollout(said("4*3+2+10"), META)) == 5
    assert general_points(rollout(said("4*3+2+11"), META)) == -2
    assert general_points(rollout(said("4*3+2+11"), META), table="repo") == -4
    assert find("general_points").presets["repo"] == {"table": "repo"}


def test_reward_does_not_apply_to_other_examples() -> None:
    assert general_points(rollout("5", {})) is None
    assert general_points(rollout("5", {"cards": [{"value": 3}]})) is None


@pytest.mark.parametrize(
    "change",
    [
        {"values": [4, 3]},
        {"values": "4"},
        {"target": "24"},
        {"target": 10**400},
        {"values": [4, 3, 2, 10**9]},
        {"mode": "video"},
        {"cards": [4, 3, 2, 13]},
        {"cards": ["2"] * 9, "values": [2] * 9},
    ],
)
def test_a_broken_hand_is_an_error_and_no_reward(change: dict[str, object]) -> None:
    with pytest.raises(GraderError, match="holds no GeneralPoints hand"):
        general_points(rollout("5", META | change))
