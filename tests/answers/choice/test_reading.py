"""Which option a text chooses, on texts written by hand: letters, option texts, corrections, lists, wordings."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers import Reference, judge, judge_reference
from vlmpost.answers.choice.reading import gold_index, read_choice
from vlmpost.errors import GraderError

COLORS = ("red", "green", "blue", "dark blue")
TEN = tuple("ant bee cat dog eel fox gnu hen ibis jay".split())

LETTER_B = [
    "B",
    "b",
    "(B)",
    "(b)",
    "[B]",
    "B.",
    "B:",
    "B)",
    "**B**",
    "**B.**",
    "**(B)**",
    "'B'",
    '"B"',
    "`B`",
    "$B$",
    "\uff08B\uff09",
    "\uff08\uff22\uff09",
    "\u3010B\u3011",
    "<s> B",
    "B</s>",
    "B<|im_end|>",
    "option B",
    "Option B.",
    "Choice B",
    "Answer: B",
    "Answer: (B)",
    "ANSWER: B",
    "**Answer:** B",
    "**Answer: B**",
    "## Answer\nB",
    "### Final Answer\n\n**B**",
    "Final answer: B",
    "The final answer is **B**.",
    "The answer is B",
    "The answer is: B.",
    "The answer is (B) green.",
    "The answer is option B",
    "The correct answer is option (B).",
    "The correct option is B",
    "The correct choice is: **B. green**",
    "The best answer would be B, since it is green.",
    "So, B is correct.",
    "B is the correct answer.",
    "Therefore, option B is the right choice.",
    "Hence (B) is the most appropriate answer.",
    "I would choose B.",
    "I'd go with (B).",
    "I choose option B because the wall is green.",
    "My choice is B.",
    "It looks like grass. I would select B",
    "\u7b54\u6848\uff1aB",
    "\u7b54\u6848\u662fB\u3002",
    "\u7b54\u6848\u4e3a\uff08B\uff09",
    "\u6240\u4ee5\u9009B",
    "\u6545\u9009B\u3002",
    "\u6b63\u786e\u7b54\u6848\u662f\uff1aB",
    "<answer>B</answer>",
    "<answer> (B) green </answer>",
    "<answer>The answer is B.</answer>",
    r"\boxed{B}",
    r"$\boxed{\text{B}}$",
    r"\boxed{\textbf{(B)}\ green}",
    r"The answer is \boxed{(B)}.",
    r"\[\boxed{\mathrm{B}}\]",
    '{"answer": "B"}',
    '```json\n{"reasoning": "It is grass.", "answer": "B"}\n```',
    "| question | answer |\n|---|---|\n| 1 | B |\n\nAnswer: B",
    "B\nThe wall is green, not red.",
    "(B) green\n\nThe red one is further away.",
    "B. The wall looks green.",
    "Let me see. A is red, so no.\n\nB",
    "<think>A? No.</think>B",
    "not A, but B",
    "The answer is A. Wait, the answer is B",
    "The answer is A. Wait, that is wrong. B is correct.",
    "Option A is incorrect. Option B is right.",
    "The answer is not A. The answer is B.",
    "B, rather than A",
    "Of the two, B fits better than C. The answer is B.",
    "The answer is B and the color has nothing to do with (C), which is incorrect.",
    "A dog stands before a wall. I think the wall has color B.",
    "Answer: B\n\nQuestion: What comes next?\nAnswer: C",
    "The answer is (B) green.\n\nHint: choose one.\nQuestion: And now?\n(A) x\n(B) y\nThe answer is (A) x.",
    "The answer is (B).\n\nI hope this helps! Let me know if you have other questions.",
]
TEXT_B = [
    "green",
    "Green.",
    "The color is green.",
    "**green**",
    r"\boxed{\text{green}}",
    "The correct answer is green.",
    "It is green, while the other one is red.",
    "It is more green than red.",
    "The other options, red, blue and dark blue, are wrong. It is green.",
]
UNREAD = [
    "",
    "A and B",
    "A, B and D",
    "(A) or (B)",
    "The answer is (A) and (C).",
    "The answer is either A or B.",
    r"\boxed{A, C}",
    r"\boxed{(A) \text{ and } (C)}",
    "(A) red (C) blue",
    "green or red",
    "E",
    "(E) purple",
    "Cube",
    "A cat sits there.",
    "I can see a wall.",
    "I think it depends.",
    "(A) red\n(B) green\n(C) blue\n(D) dark blue",
    "Neither A nor B.",
    "Option B is incorrect.",
    "The answer is not B.",
    "purple",
    r"\boxed{7}",
    "so \\boxed{B",
    "<think>The answer is B",
]
REFUSALS = [
    "I'm sorry, but I cannot answer this question without the image.",
    "I am unable to determine which option is correct.",
    "I cannot see the image, so I can't tell whether A, B, C or D is right.",
]


@pytest.mark.parametrize("text", LETTER_B)
def test_letter_b_is_read(text: str) -> None:
    verdict = judge(text, answer="B", answer_type="choice", choices=COLORS)
    assert (verdict.outcome, verdict.extracted, verdict.normalised) == ("correct", "B", "B")
    assert judge(text, answer="C", answer_type="choice", choices=COLORS).outcome == "wrong"


@pytest.mark.parametrize("text", LETTER_B)
def test_letter_b_is_read_where_the_option_texts_are_not_known(text: str) -> None:
    assert judge(text, answer="B", answer_type="choice").extracted == "B"


@pytest.mark.parametrize("text", TEXT_B)
def test_option_text_is_read(text: str) -> None:
    assert judge(text, answer="B", answer_type="choice", choices=COLORS).extracted == "B"


@pytest.mark.parametrize("text", UNREAD)
def test_text_without_one_option_is_unparsed(text: str) -> None:
    assert judge(text, answer="B", answer_type="choice", choices=COLORS).outcome == "unparsed"


@pytest.mark.parametrize("text", REFUSALS)
def test_refusal_is_a_refusal_though_it_names_options(text: str) -> None:
    assert judge(text, answer="A", answer_type="choice", choices=COLORS).outcome == "refusal"


def test_tables_have_the_entries_they_had() -> None:
    assert (len(LETTER_B), len(TEXT_B), len(UNREAD), len(REFUSALS)) == (84, 9, 24, 3)


def read(text: str, choices: tuple[str, ...]) -> str | None:
    verdict = judge(text, answer="A", answer_type="choice", choices=choices)
    return verdict.normalised


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (J).", "J"),
        ("The answer is I.", "I"),
        ("I. jay", "I"),
        ("I think the answer is (I).", "I"),
        ("I think it is a gnu.", "G"),
        ("The answer is jay", "J"),
        ("\\boxed{I}", "I"),
        ("I am not sure but I would say H.", "H"),
        ("K", None),
    ],
)
def test_ten_options_and_the_pronoun_i(text: str, letter: str | None) -> None:
    assert read(text, TEN) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("H. B", "H"),
        ("The answer is C.", "C"),
        ("B", "B"),
    ],
)
def test_the_label_beats_an_option_text_that_is_a_letter(text: str, letter: str) -> None:
    assert read(text, ("A", "C", "D", "E", "F", "G", "H", "B", "I")) == letter


@pytest.mark.parametrize(
    ("text", "choices", "letter"),
    [
        ("The ratio is \\frac{8}{3}.", ("3", "\\frac{7}{2}", "$\\frac{8}{3}$", "8"), "C"),
        ("\\boxed{1 + \\frac{\\pi}{2}}", ("$\\frac{\\pi}{2}$", "$2$", "$1+\\frac{\\pi}{2}$"), "C"),
        ("\\boxed{12\\sqrt{6}}", ("4", "$4\\sqrt{3}$", "12", "18"), None),
        ("The least length is \u221a{2}.", ("2", "\u221a{3}", "\u221a{2}"), "C"),
        ("Given that angle 1 = 105\u00b0, angle 2 would be 95\u00b0.", ("75\u00b0", "85\u00b0", "95\u00b0", "105\u00b0"), "C"),
        ("The angle is 40 degrees.", ("$30^{\\circ}$", "$40^{\\circ}$"), "B"),
        ("\\boxed{40}", ("$30^{\\circ}$", "$40^{\\circ}$"), "B"),
        ("\\boxed{1,234}", ("$1234$", "$1243$"), "A"),
        ("The length is 3.0 cm.", ("2cm", "3cm"), "B"),
        ("With radius 3 the area is 28.", ("3", "27"), None),
        ("The ratio is 1:3.", ("3", "1: 3"), "B"),
        ("\\boxed{(A) \\frac{8}{3}}", ("1", "2", "$\\frac{8}{3}$"), "A"),
    ],
)
def test_values_are_read_as_a_whole(text: str, choices: tuple[str, ...], letter: str | None) -> None:
    assert read(text, choices) == letter


@pytest.mark.parametrize(
    ("text", "choices", "letter"),
    [
        ("The solution with more particles is Solution B.", ("neither", "Solution A", "Solution B"), "C"),
        ("Point B is closer to the camera than point A.", ("Point A", "Point B"), "B"),
        ("Box A encloses it better. Box B, on the other hand, is too small.", ("Box B", "Box A"), "B"),
        ("A is closer. Point A is closer than point B.", ("A is closer", "B is closer"), "A"),
        ("None", ("None", "one", "two"), "A"),
        ("NA", ("some", "NA"), "B"),
        ("None of the above", ("one", "two", "None of the above"), "C"),
        ("Yes, there is a dog.", ("no", "yes"), "B"),
        ("No", ("no", "yes"), "A"),
        ("There is no dog in the image.", ("yes", "no"), None),
        ("The value is larger than at x = 70.", ("larger than", "smaller than"), "A"),
        ("The time is six o'clock.", ("half", "quarter", "o'clock"), "C"),
        ("It is E. coli", ("virus", "mold", "E. coli"), "C"),
        ("The camera is moving right.", ("left", "right"), "B"),
        ("The second image is most similar; the third image is not.", ("the second image", "the third image"), "A"),
    ],
)
def test_words_of_options_are_read_as_a_whole(text: str, choices: tuple[str, ...], letter: str | None) -> None:
    assert read(text, choices) == letter


@pytest.mark.parametrize(
    ("text", "gold", "outcome"),
    [
        ("red", "A", "correct"),
        ("red", "B", "correct"),
        (r"\boxed{\text{red}}", "B", "correct"),
        ("B", "red", "correct"),
        ("(A)", "red", "correct"),
        ("B", "A", "wrong"),
        ("The answer is (B) red.", "A", "wrong"),
    ],
)
def test_twin_options_are_right_by_text_and_a_letter_key_wants_its_letter(text: str, gold: str, outcome: str) -> None:
    assert judge(text, answer=gold, answer_type="choice", choices=("red", "red", "blue")).outcome == outcome


def test_options_that_differ_only_in_marks_are_not_twins() -> None:
    choices = ("s", "s+", "s*", "ss")
    assert [read(text, choices) for text in choices] == ["A", "B", "C", "D"]
    assert judge("A", answer="C", answer_type="choice", choices=choices).outcome == "wrong"


def test_letters_of_another_list_give_way_to_the_option_text() -> None:
    assert read("The third image (C) is most similar to the first image (A).", ("the second image", "the third image")) == "B"


def test_every_accepted_option_is_right() -> None:
    reference = Reference(answer="A", answer_type="choice", choices=COLORS, accepted=("C", "dark blue"))
    assert [judge_reference(letter, reference).outcome for letter in "ABCD"] == ["correct", "wrong", "correct", "correct"]
    with pytest.raises(GraderError, match="neither an option letter"):
        judge_reference("A", Reference(answer="A", answer_type="choice", choices=COLORS, accepted=("purple",)))


def test_boxed_reference_is_read() -> None:
    assert judge("B", answer=r"\boxed{B}", answer_type="choice", choices=COLORS).outcome == "correct"


def test_letter_with_the_text_of_another_option_wins_and_is_marked() -> None:
    verdict = judge("The answer is (C) green.", answer="C", answer_type="choice", choices=COLORS)
    assert (verdict.outcome, verdict.extracted, verdict.rule) == ("correct", "C", "answer_phrase_conflict")
    assert judge("The answer is (B) green.", answer="B", answer_type="choice", choices=COLORS).rule == "answer_phrase"


def test_value_in_another_writing_is_the_option() -> None:
    choices = (r"$\frac{16\pi}{3}$", r"$\frac{8\pi}{3}$")
    verdict = judge(r"\boxed{\frac{32\pi}{6}}", answer="A", answer_type="choice", choices=choices)
    assert (verdict.outcome, verdict.rule, verdict.normalised) == ("correct", "last_box_value", "A")
    assert judge(r"\boxed{\frac{33\pi}{6}}", answer="A", answer_type="choice", choices=choices).outcome == "unparsed"


def test_letter_announced_after_a_box_beats_the_value_in_it() -> None:
    text = "The sum is $\\boxed{40}$ points. The answer is (A)."
    assert read(text, ("20", "30", "40")) == "A"
    assert read("It is $\\boxed{1820}$. The answer is (C).", ("43", "70", "80")) == "C"


def test_span_marks_the_letter_in_the_text() -> None:
    text = "<think>A</think>Well, \\boxed{\\textbf{(B) }144}"
    verdict = judge(text, answer="B", answer_type="choice", choices=("12", "144"))
    assert verdict.span is not None
    assert text[slice(*verdict.span)] == "B"


def test_reference_must_be_an_option() -> None:
    assert gold_index("b", COLORS) == 1
    assert gold_index("(D)", COLORS) == 3
    assert gold_index("Dark blue", COLORS) == 3
    assert gold_index("A", ("B", "A")) == 0
    for wrong in ("purple", "E", ""):
        with pytest.raises(GraderError, match="neither an option letter"):
            gold_index(wrong, COLORS)


def test_several_letters_are_ambiguous_and_none_is_none() -> None:
    found = read_choice("(A) and (B)", COLORS, firm=True)
    assert found is not None
    assert (found.index, found.rule) == (None, "ambiguous")
    assert read_choice("purple", COLORS, firm=True) is None


LETTER_FORMS = ["{}", "({})", "{}.", "**{}**", "The answer is {}.", "The correct option is ({}).", "<answer>{}</answer>", "\\boxed{{{}}}"]


@given(st.sampled_from(LETTER_FORMS), st.integers(0, 9), st.integers(2, 10))
def test_each_way_to_say_a_letter_names_that_option(form: str, index: int, count: int) -> None:
    letter = "ABCDEFGHIJ"[index]
    assert read(form.format(letter), TEN[:count]) == (letter if index < count else None)


@given(st.permutations(TEN), st.integers(0, 9))
def test_option_text_names_its_option_wherever_it_stands(words: list[str], index: int) -> None:
    assert read(f"The answer is {words[index]}.", tuple(words)) == "ABCDEFGHIJ"[index]


@settings(max_examples=400, deadline=2000)
@given(st.lists(st.sampled_from([*LETTER_B, *TEXT_B, *UNREAD, *REFUSALS, "\n", " ", "\x00", "**", "(", "\\boxed{", "{", "$"]), max_size=8))
def test_any_mixture_gets_a_verdict_of_the_known_kind(pieces: list[str]) -> None:
    text = " ".join(pieces)
    verdict = judge(text, answer="B", answer_type="choice", choices=COLORS)
    assert verdict.outcome in ("correct", "wrong", "unparsed", "refusal")
    assert (verdict.normalised is not None) == (verdict.outcome in ("correct", "wrong"))
    assert verdict == judge(text, answer="B", answer_type="choice", choices=COLORS)
    if verdict.span is not None:
        assert 0 <= verdict.span[0] <= verdict.span[1] <= len(text)


HOSTILE = [
    "(" * 2_000_000,
    "A " * 1_000_000,
    "(A) " * 500_000,
    "The answer is A, " * 200_000,
    "the answer is not " * 200_000,
    "other aaaa, " * 200_000,
    "than " * 500_000,
    "\n" * 2_000_000,
    "(A) x\n" * 300_000,
    "\\boxed{" * 300_000,
    "\\text{" * 300_000 + "A",
    "**" * 1_000_000,
    "I would choose " * 150_000,
    "wait " * 400_000 + "B",
    "a" * 10_000_000,
    "A" * 10_000_000,
    "red " * 1_000_000,
    "Therefore A is. " * 200_000,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_long_text_is_read_in_linear_time(number: int) -> None:
    started = time.process_time()
    judge(HOSTILE[number], answer="B", answer_type="choice", choices=COLORS)
    assert time.process_time() - started < 5.0
