"""Whatever way an answer is written, and wherever it stands, the judge takes it; and it takes no near miss."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.answers.judging import judge_reference
from vlmpost.answers.reference import Reference
from vlmpost.answers.values.canonical import canonical_form, canonical_target
from vlmpost.answers.values.equivalence import Target, compare_quickly, part_target, read_target

PLACES = (
    "{}",
    "{}.",
    "The answer is {}.",
    "the final answer is: {}",
    "**Answer:** {}",
    "Some steps with 3 and 4.\n#### {}",
    "<answer>{}</answer>",
    "<think>Is it 3? Or 4?</think>\n{}",
    "First I add 1 and 2.\nSo the total is {}.",
    r"We get 3, then 4. \boxed{{{}}}",
    r"I first got \boxed{{99999999}}. No: $\boxed{{{}}}$",
    r"Therefore, the result is $\boxed{{{}}}$. I hope this helps!",
)
"""Where an answer may stand."""
NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()

places = st.sampled_from(PLACES)
whole_numbers = st.integers(-(10**7), 10**7)
fractions = st.fractions(min_value=-50, max_value=50, max_denominator=60).filter(lambda value: value.denominator > 1)
values = st.lists(st.integers(-99, 99), min_size=2, max_size=4, unique=True)


def outcome(text: str, answer: str, answer_type: str = "latex", **more: object) -> str:
    return judge_reference(text, Reference(answer, answer_type, **more)).outcome  # type: ignore[arg-type]


def in_words(number: int) -> str:
    """0 to 999999 in English."""
    if number < 20:
        return NAMES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{NAMES[number % 10]}" if number % 10 else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    joint = " and " if size == 100 else " "
    return f"{in_words(number // size)} {name}" + (joint + in_words(number % size) if number % size else "")


def writings(number: int) -> list[str]:
    sign, size = ("-" if number < 0 else ""), abs(number)
    grouped = f"{size:,}"
    forms = [
        f"{number}",
        f"{sign}{grouped}",
        f"{number}.0",
        f"{number}.",
        f"{number:+d}",
        f"\\text{{{number}}}",
        f"{sign}{grouped}".replace(",", "{,}"),
        f"{sign}{grouped}".replace(",", r"\,"),
        f"{sign}{grouped}".replace(",", r",\!"),
        f"{sign}{grouped}".replace(",", " "),
        f"{number} / 1",
        f"\\frac{{{2 * number}}}{{2}}",
        f"x = {number}",
        f"{number} = x",
        f"{number}e0",
        f"{number}0 \\times 10^{{-1}}",
    ]
    return forms + ([in_words(size)] if 0 <= number < 10**6 else []) + ([f"\u2212{size}"] if number < 0 else [])


@given(whole_numbers, places, st.data())
def test_a_whole_number_is_taken_in_every_writing_at_every_place(number: int, place: str, data: st.DataObject) -> None:
    form = data.draw(st.sampled_from(writings(number)))
    if place == "{}." and form.endswith("."):
        form = form[:-1]
    text = place.format(form)
    assert outcome(text, str(number), "number") == "correct", text


@given(whole_numbers, places, st.data())
def test_a_near_miss_of_a_whole_number_is_wrong(number: int, place: str, data: st.DataObject) -> None:
    miss = data.draw(st.sampled_from([number + 1, number - 1, -number or 7, number * 10 or 8, Fraction(2 * number + 1, 2)]))
    form = f"{float(miss):.1f}" if isinstance(miss, Fraction) else data.draw(st.sampled_from(writings(miss)))
    text = place.format(form.rstrip("."))
    assert outcome(text, str(number), "number") == "wrong", text


@given(fractions, places, st.data())
def test_a_fraction_is_taken_in_every_writing(value: Fraction, place: str, data: st.DataObject) -> None:
    top, bottom, sign = abs(value.numerator), value.denominator, "-" if value < 0 else ""
    whole, rest = divmod(top, bottom)
    forms = [
        f"{sign}{top}/{bottom}",
        f"{sign}\\frac{{{top}}}{{{bottom}}}",
        f"{sign}\\dfrac{{{3 * top}}}{{{3 * bottom}}}",
        f"{sign}{5 * top} / {5 * bottom}",
        f"{float(value):.12f}",
    ]
    forms += [f"{sign}{whole} {rest}/{bottom}", f"{sign}{whole}\\frac{{{rest}}}{{{bottom}}}"] if whole else []
    text = place.format(data.draw(st.sampled_from(forms)))
    for answer in (f"{sign}{top}/{bottom}", f"{sign}\\frac{{{top}}}{{{bottom}}}"):
        assert outcome(text, answer, "number") == "correct", text
    for miss in (f"{value.numerator + 1}/{bottom}", f"{-value.numerator}/{bottom}", f"{value.numerator}/{bottom + 1}"):
        assert outcome(text, miss, "number") == "wrong", (text, miss)


@given(st.integers(1, 7 * 90), st.integers(1, 3), places)
def test_a_rounded_answer_is_no_fraction_and_a_precise_one_is_a_rounded_reference(size: int, decimals: int, place: str) -> None:
    value = Fraction(size, 7) if size % 7 else Fraction(size + 1, 7)
    short, precise = f"{float(value):.{decimals}f}", f"{float(value):.9f}"
    if abs(Fraction(short) - value) > value / 10**6:
        assert outcome(place.format(short), f"{value.numerator}/{value.denominator}", "number") == "wrong"
    if abs(Fraction(short) - value) <= Fraction(short) / 20:
        assert outcome(place.format(precise), short, "number") == "correct"
        assert outcome(place.format(f"{float(value) + 10.0**-decimals:.9f}"), short, "number") == "wrong"


UNITS = [
    ("m", "cm", 100),
    ("km", "m", 1000),
    ("kg", "g", 1000),
    ("h", "min", 60),
    ("hours", "minutes", 60),
    ("m^2", "cm^2", 10_000),
    ("L", "mL", 1000),
]


@given(st.integers(1, 5000), st.sampled_from(UNITS), places)
def test_units_are_converted_and_never_confused(size: int, units: tuple[str, str, int], place: str) -> None:
    large, small, ratio = units
    answer = f"{size} {large}"
    for form in (f"{size} {large}", f"{size}\\text{{ {large}}}", f"{size * ratio} {small}", f"{size}"):
        assert outcome(place.format(form), answer, "number") == "correct", form
    for form in (f"{size} {small}", f"{size} s", f"{size * ratio} {large}"):
        assert outcome(place.format(form), answer, "number") == "wrong", form


LIST_PLACES = (PLACES[0], PLACES[2], PLACES[3], PLACES[6], PLACES[9], r"So the set is $\boxed{{{}}}$.")


@given(values, st.randoms(use_true_random=False), st.sampled_from(LIST_PLACES))
def test_sets_have_no_order_and_tuples_have_one(items: list[int], random: object, place: str) -> None:
    mixed = list(items)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    gold_set, gold_tuple = "\\{" + ", ".join(map(str, items)) + "\\}", "(" + ", ".join(map(str, items)) + ")"
    for opening, closing in (("\\{", "\\}"), ("\\left\\{", "\\right\\}"), ("", "")):
        assert outcome(place.format(opening + ",".join(map(str, mixed)) + closing), gold_set) == "correct"
    assert outcome(place.format(gold_tuple.replace(", ", ",")), gold_tuple) == "correct"
    swapped = [items[1], items[0], *items[2:]]
    assert outcome(place.format("(" + ", ".join(map(str, swapped)) + ")"), gold_tuple) == "wrong"
    for wrong in (items[:-1], [*items[:-1], items[-1] + 100], [*items, 777]):
        assert outcome(place.format("\\{" + ", ".join(map(str, wrong)) + "\\}"), gold_set) == "wrong"
        assert outcome(place.format("(" + ", ".join(map(str, wrong)) + ")"), gold_tuple) == "wrong"
    assert outcome(place.format(gold_tuple), gold_set) == "wrong" or len(items) > 2


@given(st.integers(-50, 49), st.integers(1, 50), st.sampled_from(["()", "[]", "[)", "(]"]), st.sampled_from(LIST_PLACES))
def test_an_interval_is_its_inequality_and_no_other_interval(low: int, width: int, brackets: str, place: str) -> None:
    high = low + width
    gold = f"{brackets[0]}{low}, {high}{brackets[1]}"
    left, right = ("\\leq" if brackets[0] == "[" else "<"), ("\\leq" if brackets[1] == "]" else "<")
    for form in (f"\\left{brackets[0]}{low},{high}\\right{brackets[1]}", f"{low} {left} x {right} {high}", f"x \\in {gold}"):
        assert outcome(place.format(form), gold) == "correct", form
    for other in {"()", "[]", "[)", "(]"} - {brackets}:
        assert outcome(place.format(f"{other[0]}{low}, {high}{other[1]}"), gold) == "wrong", other
    assert outcome(place.format(f"{brackets[0]}{low}, {high + 1}{brackets[1]}"), gold) == "wrong"


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=3, unique=True), st.sampled_from("pbB"))
def test_a_matrix_is_compared_entry_by_entry(rows: list[tuple[int, int]], bracket: str) -> None:
    body = r" \\ ".join(f"{left} & {right}" for left, right in rows)
    gold = f"\\begin{{pmatrix}} {body} \\end{{pmatrix}}"
    assert outcome(f"\\boxed{{\\begin{{{bracket}matrix}}{body}\\end{{{bracket}matrix}}}}", gold) == "correct"
    assert outcome(str([list(row) for row in rows]), gold) == "correct"
    other = body[::-1] if body != body[::-1] else body + "1"
    swapped = r" \\ ".join(f"{left} & {right}" for left, right in [*rows[1:], rows[0]])
    assert outcome(f"\\boxed{{\\begin{{{bracket}matrix}}{swapped}\\end{{{bracket}matrix}}}}", gold) == "wrong", other


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(1, 12), st.sampled_from(PLACES[:1] + PLACES[2:3] + PLACES[9:10]))
def test_roots_and_pi_are_formulas_and_not_their_first_number(size: int, factor: int, place: str) -> None:
    for form in (f"{factor}\\sqrt{{{size}}}", f"{factor}\u221a{size}", f"{factor}*sqrt({size})", f"\\sqrt{{{size * factor * factor}}}"):
        assert outcome(place.format(form), f"{factor}\\sqrt{{{size}}}") == "correct", form
        assert outcome(place.format(form), f"{factor}\\sqrt{{{size + 1}}}") == "wrong", form
        assert outcome(place.format(form), str(factor + size * 1000), "number") == "wrong", form
    for form in (f"{factor}\\pi", f"{factor}\u03c0", f"{factor} pi", f"\\pi \\cdot {factor}"):
        assert outcome(place.format(form), f"{factor}\\pi") == "correct", form
        assert outcome(place.format(form), str(factor), "number") == "wrong", form


words = st.sampled_from("red blue cat dog table lamp green house river stone".split())


@given(st.lists(words, min_size=1, max_size=3, unique=True), st.sampled_from(PLACES[:10]))
def test_a_phrase_is_taken_whole_and_never_for_being_contained(phrase: list[str], place: str) -> None:
    gold = " ".join(phrase)
    for form in (gold, gold.upper(), f"the {gold}", f'"{gold}"', f"**{gold}**"):
        assert outcome(place.format(form), gold, "text") == "correct", form
    for form in (f"not {gold}", f"{gold} tower", f"very {gold}", f"{gold}s or others", "something"):
        assert outcome(place.format(form), gold, "text") == "wrong", form


@given(st.booleans(), st.sampled_from(PLACES[:8]), st.data())
def test_yes_and_no_are_read_from_the_first_word_or_the_claim(yes: bool, place: str, data: st.DataObject) -> None:
    forms = ("yes", "Yes, it is", "true", "Yes, because it is not red") if yes else ("no", "No, it is not", "false", "No, since it is true")
    text = place.format(data.draw(st.sampled_from(forms)))
    for answer in ("yes", "True") if yes else ("no", "False"):
        assert outcome(text, answer, "text") == "correct", text
    for answer in ("no", "False") if yes else ("yes", "True"):
        assert outcome(text, answer, "text") == "wrong", text


def target(answer: str) -> Target:
    return part_target(answer)


@given(whole_numbers, st.data())
def test_equal_answers_share_one_form_and_others_do_not(number: int, data: st.DataObject) -> None:
    one, other = data.draw(st.sampled_from(writings(number))), data.draw(st.sampled_from(writings(number)))
    gold = target("12345678")
    assert canonical_form(gold, one) == canonical_form(gold, other) == str(number)
    assert canonical_form(gold, str(number + 1)) != str(number)


def test_right_answers_have_the_form_of_the_reference_answer() -> None:
    reference = Reference("3.14", "number", accepted=("11/4",))
    forms = [judge_reference(text, reference).normalised for text in ("3.14159", "3.14", "22/8", "2.75", "3.2")]
    assert forms == ["157/50", "157/50", "11/4", "11/4", "16/5"]
    assert canonical_target(target(r"\{3, 1, 2\}")) == canonical_target(target("1, 2 and 3")) == "{1; 2; 3}"


@pytest.mark.parametrize(
    ("answer", "more", "right", "wrong"),
    [
        ("1.23", {"precision": 2}, ["1.2345", "1.234", "1.225001"], ["1.236", "1.2"]),
        ("0.12", {"precision": 2}, ["0.125", "0.115"], ["0.1251"]),  # half even: 0.125 is 0.12, 0.115 is 0.12
        ("7", {"unit": "years"}, ["7", "7 years", "84 months"], ["7 km", "8 years"]),
        ("5 cm", {}, ["5", "0.05 m", "50 mm"], ["5 m", "5 kg"]),
        ("0.25", {}, ["1/4", "0.25"], ["25%", "25"]),
        ("0.25", {"question": "What percent is red?"}, ["25%", "0.25"], ["25"]),
        ("25%", {}, ["25%", "25", "0.25", "25 percent"], ["0.25%", "2500%"]),
        ("25", {}, ["25%", "25"], ["0.25"]),
        ("8", {"accepted": ("9", "ten")}, ["8", "9", "10", "nine"], ["7", "8, 9"]),
        ("0.5", {}, ["1/2", "0.5", "0.52"], ["0.46", "0.6", "0.54"]),
    ],
)
def test_all_of_the_reference_counts(answer: str, more: dict[str, object], right: list[str], wrong: list[str]) -> None:
    for text in right:
        assert outcome(text, answer, "number", **more) == "correct", text
    for text in wrong:
        assert outcome(text, answer, "number", **more) == "wrong", text


@pytest.mark.parametrize(("kind", "right"), [("list", True), ("list of float", True), ("", False)])
def test_a_list_that_a_program_prints_keeps_its_order_and_needs_no_brackets(kind: str, right: bool) -> None:
    assert (outcome("1, 2", "[1, 2]", "text", kind=kind) == "correct") is right
    assert outcome("[2, 1]", "[1, 2]", "text", kind=kind) == "wrong"
    assert outcome("[1.0, 2]", "[1, 2]", "text", kind=kind) == "correct"


@given(
    st.text(max_size=300), st.sampled_from(["7", r"\frac{1}{2}", "(1, 2]", "red cat", "yes", "3:15 pm", "March 5, 2020", r"\{1,2\}", "1:2"])
)
def test_any_text_can_be_compared_and_put_in_its_form(text: str, answer: str) -> None:
    gold = read_target(answer, "text", "", "", None, "")
    assert compare_quickly(gold, text) in ("same", "different", None)
    assert isinstance(canonical_form(gold, text), str)
    assert compare_quickly(gold, answer) == "same"
