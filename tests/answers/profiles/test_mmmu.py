"""MMMU's and MMMU-Pro's rules: what they read, what they keep of the official oddities, what they never guess."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.profiles.mmmu import mmmu_pro, mmmu_val, mmmu_val_open
from vlmpost.answers.reference import Reference
from vlmpost.errors import ConfigError, GraderError

COLORS = ("red", "green", "blue", "dark blue")
QUESTION = Reference("B", "choice", COLORS, id="validation_Art_1")
TWELVE = tuple("abcdefghijkl")

VAL = [
    ("B", "B"),
    ("B.", "B"),
    ("(B) green", "B"),
    ("The answer is (C), not (B).", "B"),  # the last one in brackets
    ("(A) or B or C ", "A"),  # brackets beat blanks
    ("A or B", "B"),
    ("B, since it is so", None),  # no blank after it, and no option text
    ("answer:B", None),
    ("A cat sits there", "A"),  # the article counts
    ("It must be the green one here", "B"),
    ("I think it is bluegreen or so", "B"),  # inside a word too; the last one wins
    ("it is dark blue I would say", "C"),  # the start of the last occurrence decides: "blue" begins later than "dark blue" around it
    ("green", None),  # five words or fewer: option texts do not count
    ("(E) none", None),
    ("'B'", "B"),
    ("\nB\n", None),  # only blanks count, not line ends
    ("", None),
]
PRO = [
    ("Answer: B", "B"),
    ("Step 1: (A)\nAnswer: C) blue", "C"),
    ("Answer: A\nAnswer: B", "B"),
    ("Answer: Bob or Dan", None),  # two letters stand there, and then neither "(X)", "X " nor "X." nor six words
    ("Answer: Bob or A", "A"),  # the end of the text is a blank
    ("Answer: it is (B) or (A)", "A"),
    ("B. green", "B"),
    ("the color of B is A", "A"),
    ("CDA and more", "A"),  # inside a word, before a blank
    ("D.\nA.", "A"),  # the mark is a stop, no letter stands between blanks: the first option
    ("", None),
]

OPEN = [
    ("The result is 12.", "12", True),
    ("So it must be 12.004", "12", True),  # two decimals
    ("So it must be\n12", "12", False),  # the line without a key word is left out, where another has one
    ("12.006", "12", False),
    ("1,200", "1200", True),
    ("1.2e3", "1200", True),
    ("-5", "5", False),
    ("The answer is trans-1-chloro.", "Trans-1-Chloro", True),
    ("The answer is not red", "red", True),  # a part of the phrase is enough
    ("red. It is blue", "red", False),  # of a line only the tail after the last key word
    ("x = 12", "12", True),
    ("x = 12\ny = 13", "12", False),  # "=" is a key word in the last line only
    ("a", "a", True),
    ("cab", "a", False),  # a lone letter needs a blank beside it
    ("it is point a now", "a", True),
    ("nan", "nan", False),
    ("1/64", "1/64", True),
]


@pytest.mark.parametrize(("text", "letter"), VAL)
def test_val_reads_the_letter_that_the_official_parser_reads(text: str, letter: str | None) -> None:
    verdict = mmmu_val(text, QUESTION)
    assert verdict.extracted == letter
    assert verdict.outcome == ("unparsed" if letter is None else "correct" if letter == "B" else "wrong")


@pytest.mark.parametrize(("text", "letter"), PRO)
def test_pro_reads_the_letter_that_the_official_parser_reads(text: str, letter: str | None) -> None:
    assert mmmu_pro(text, QUESTION).extracted == letter


@pytest.mark.parametrize(("text", "gold", "right"), OPEN)
def test_open_answers_are_right_where_the_official_rule_has_them_right(text: str, gold: str, right: bool) -> None:
    assert mmmu_val_open(text, Reference(gold)).correct is right
    assert mmmu_val(text, Reference(gold)).correct is right, "mmmu_val hands questions without options to mmmu_val_open"


def test_the_tables_are_as_long_as_they_look() -> None:
    assert (len(VAL), len(PRO), len(OPEN)) == (17, 11, 17)


def test_the_span_marks_the_letter_in_the_text_as_given() -> None:
    text = "!!The answer is (B)."
    verdict = mmmu_val(text, QUESTION)
    assert verdict.span == (17, 18) and text[17] == "B"
    assert mmmu_pro("No.\nAnswer: it is B here", QUESTION).span == (18, 19)


def test_a_question_with_twelve_options_has_letters_to_l() -> None:
    assert mmmu_pro("Answer: L", Reference("L", "choice", TWELVE)).correct


def test_a_list_of_golds_is_any_of_them_in_either_writing() -> None:
    assert mmmu_val_open("it is 3.429", Reference("24/7", accepted=("3.429",))).correct
    assert mmmu_val_open("it is 3.429", Reference("['24/7', '3.429']")).correct
    assert not mmmu_val_open("it is 3.5", Reference("['24/7', '3.429']")).correct
    assert mmmu_val_open("the interval is [0, 1]", Reference("[0, 1]")).correct is True  # 0 is one of the numbers


def test_nothing_said_is_unparsed_and_nothing_is_guessed() -> None:
    assert mmmu_val_open(" ..", Reference("7")).outcome == "unparsed"
    assert {mmmu_val("who knows", Reference("B", "choice", COLORS, id=str(n))).outcome for n in range(50)} == {"unparsed"}


def test_a_random_option_is_asked_for_seeded_and_named() -> None:
    drawn = [mmmu_val("?", Reference("B", "choice", COLORS, id=f"q{n}"), unparsed="random", seed=3) for n in range(400)]
    again = [mmmu_val("?", Reference("B", "choice", COLORS, id=f"q{n}"), unparsed="random", seed=3) for n in range(400)]
    other = [mmmu_val("?", Reference("B", "choice", COLORS, id=f"q{n}"), unparsed="random", seed=4) for n in range(400)]
    assert drawn == again != other
    assert {verdict.rule for verdict in drawn} == {"random_option"}
    # 400 draws from four letters: 100 each, standard deviation 8.7.
    assert all(60 < sum(verdict.extracted == letter for verdict in drawn) < 140 for letter in "ABCD")
    assert mmmu_pro("Answer: B", QUESTION, unparsed="random").rule == "after_answer"
    with pytest.raises(ConfigError, match="wrong or random, got 'luck'"):
        mmmu_val("B", QUESTION, unparsed="luck")  # type: ignore[arg-type]
    with pytest.raises(GraderError, match="set `id`"):
        mmmu_pro("?", Reference("B", "choice", COLORS), unparsed="random")


def test_a_reference_that_cannot_be_used_is_an_error_and_not_a_wrong_answer() -> None:
    with pytest.raises(GraderError, match="need the option texts"):
        mmmu_val("B", Reference("B", "choice"))
    with pytest.raises(GraderError, match="neither an option letter"):
        mmmu_pro("Answer: B", Reference("F", "choice", COLORS))
    with pytest.raises(GraderError, match="empty"):
        mmmu_val_open("B", Reference(" "))


@given(st.text(alphabet="ABCD()., :\nAnswerisgreen'", max_size=60), st.sampled_from(COLORS))
def test_the_span_of_a_letter_holds_that_letter(text: str, gold: str) -> None:
    for profile in (mmmu_val, mmmu_pro):
        verdict = profile(text, Reference(gold, "choice", COLORS))
        if verdict.span is not None:
            shown = text[slice(*verdict.span)]
            assert shown == verdict.extracted if verdict.rule != "option_text" else shown.lower() in COLORS


@given(st.integers(-(10**6), 10**6), st.sampled_from(["The answer is {}.", "{}", "so it equals = {}", "First 3.\nThe final value is {}"]))
def test_a_number_is_found_in_each_sentence_and_its_neighbour_is_not(number: int, sentence: str) -> None:
    assert mmmu_val_open(sentence.format(number), Reference(str(number))).correct
    assert mmmu_val_open(sentence.format(f"{number:,}"), Reference(str(number))).correct
    wrong = mmmu_val_open(f"= {number + 1}", Reference(f"{number}.5"))
    assert wrong.outcome == "wrong"


@pytest.mark.parametrize("text", ["1" * 10**6 + "x", ",111" * 250_000 + "x", "1.1." * 250_000, "(A" * 500_000, "is " * 300_000])
def test_a_long_text_takes_time_in_proportion(text: str) -> None:
    begin = time.process_time()
    for profile in (mmmu_val, mmmu_pro):
        profile(text, QUESTION)
    mmmu_val_open(text, Reference("5"))
    assert time.process_time() - begin < 10
