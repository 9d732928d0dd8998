"""Copies of evaluation questions are found by words and by pictures, and what only looks like one is left alone."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from vlmpost.config.curate import DecontaminateConfig
from vlmpost.config.schema import SourceConfig
from vlmpost.curation.decontaminate import MAX_SHARED, Decontaminator
from vlmpost.data import collect
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.records import IMAGE, Example, ImageRef, Message

FIXTURES = Path(__file__).parent.parent / "data" / "fixtures"
LONG = "A train leaves the station at nine and travels at sixty miles an hour to the north"
"""17 words."""


def question(id: str, text: str, *, answer: str | None = None, images: tuple[ImageRef, ...] = (), choices: tuple[str, ...] = ()) -> Example:
    content = (*[IMAGE] * len(images), text)
    kind = "choice" if choices else "text"
    return Example(id, "t", (Message("user", content),), images=images, answer=answer, answer_type=kind, choices=choices)


def picture(seed: int, *, kind: str = "PNG", scale: float = 1.0) -> ImageRef:
    """Six filled boxes on white, with a margin."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (320, 240), "white")
    for _ in range(6):
        left, top = int(random.integers(30, 220)), int(random.integers(30, 150))
        box = (left, top, left + int(random.integers(20, 70)), top + int(random.integers(20, 60)))
        ImageDraw.Draw(image).rectangle(box, fill=tuple(int(level) for level in random.integers(0, 200, 3)))
    return stored(image.resize((int(320 * scale), int(240 * scale))), kind=kind)


def stored(image: Image.Image, *, kind: str = "PNG") -> ImageRef:
    file = io.BytesIO()
    image.save(file, kind)
    return ImageRef(data=file.getvalue())


def against(*evaluation: Example, **settings: object) -> Decontaminator:
    return Decontaminator(DecontaminateConfig(against=[SourceConfig(path="unused.jsonl")], **settings), evaluation)


def test_thirteen_words_in_a_row_make_a_copy_and_twelve_do_not() -> None:
    judge = against(question("e1", f"{LONG}. How far is it after two hours?"))
    shared = "leaves the station at nine and travels at sixty miles an hour"  # 12 words
    assert judge.reason(question("t", f"Our bus {shared.upper()}, so")) is None
    assert (
        judge.reason(question("t", f"Our {('train ' + shared).upper()}!")) == f"evaluation question e1: 13 words in a row (train {shared})"
    )


def test_the_number_of_words_is_the_recipes() -> None:
    text = "travels at sixty miles"
    assert against(question("e1", LONG), ngram=4).reason(question("t", text)) is not None
    assert against(question("e1", LONG), ngram=5).reason(question("t", text)) is None


def test_short_questions_without_pictures_are_compared_whole() -> None:
    judge = against(question("e1", "What is $2+2$?", answer="4"))
    assert judge.reason(question("t", "what is 2 + 2")) == "evaluation question e1: the same words"
    assert judge.reason(question("t", "what is 2 + 3")) is None
    assert judge.reason(question("t", "and what is 2 + 2")) is None


def test_options_belong_to_a_short_question_in_any_order() -> None:
    judge = against(question("e1", "Which is odd?\n(A) two\n(B) seven", choices=("two", "seven"), answer="B"))
    assert judge.reason(question("t", "Which is odd?\n(A) seven\n(B) two", choices=("seven", "two"), answer="A")) is not None
    assert judge.reason(question("t", "Which is odd?\n(A) six\n(B) nine", choices=("six", "nine"), answer="B")) is None


def test_a_short_question_on_another_picture_is_no_copy_unless_the_answer_is_the_same() -> None:
    judge = against(question("e1", "What is x?", answer="5", images=(picture(1),)))
    assert judge.reason(question("t", "What is x?", answer="6", images=(picture(2),))) is None
    assert judge.reason(question("t", "What is x?", images=(picture(2),))) is None
    assert (
        judge.reason(question("t", "What is x?", answer="5", images=(picture(2),))) == "evaluation question e1: the same words and answer"
    )


def test_words_asked_with_several_answers_say_nothing() -> None:
    evaluation = [question(f"e{number}", "What is x?", answer=str(number), images=(picture(number),)) for number in (1, 2)]
    assert against(*evaluation).reason(question("t", "What is x?", answer="1", images=(picture(9),))) is None


def test_wording_of_many_evaluation_questions_is_common() -> None:
    hint = "Please read the question below with care and then answer it with a single number: "
    few = [question(f"e{number}", f"{hint} {number} apples?", answer=str(number)) for number in range(MAX_SHARED)]
    many = [*few, question("last", f"{hint} pears?", answer="many")]
    asked = question("t", f"{hint} how old is Ann?")
    assert against(*few).reason(asked) is not None
    assert against(*many).reason(asked) is None
    # Its own words go on after the common ones.
    assert (against(*many).reason(question("t", f"{hint} pears?")) or "").endswith("with a single number pears)")


def test_a_question_made_from_a_template_is_found_whole() -> None:
    template = "What is the missing number of the part that is denoted with a question mark?"
    evaluation = [question(f"e{number}", template, choices=(f"{number}", "x"), answer="A") for number in range(MAX_SHARED + 1)]
    assert against(*evaluation).reason(question("t", template, choices=("y", "x"), answer="A")) is None
    assert against(*evaluation).reason(question("t", template, choices=("x", "3"), answer="B")) == "evaluation question e3: the same words"


def test_the_same_evaluation_question_many_times_is_not_common() -> None:
    evaluation = [question(f"e{number}", LONG, answer="4") for number in range(20)]
    assert against(*evaluation).reason(question("t", LONG)) is not None


@pytest.mark.parametrize(("kind", "scale"), [("JPEG", 1.0), ("WEBP", 1.0), ("PNG", 0.5), ("JPEG", 1.5)])
def test_a_picture_encoded_or_scaled_anew_is_recognised(kind: str, scale: float) -> None:
    judge = against(question("e1", "One?", images=(picture(1),)), question("e2", "Two?", images=(picture(2),)))
    found = judge.reason(question("t", "Another question", images=(picture(3), picture(2, kind=kind, scale=scale))))
    assert found is not None and found.startswith("evaluation question e2: a picture that looks the same (distance ")


def test_blank_pictures_are_like_nothing() -> None:
    blank = stored(Image.new("RGB", (64, 64), "white"))
    assert against(question("e1", "One?", images=(blank,))).reason(question("t", "Two?", images=(blank,))) is None


def test_a_picture_of_a_series_must_be_the_same_pixel_by_pixel() -> None:
    # One drawing with another dot in each: 7 pictures that look alike.
    series = []
    for number in range(MAX_SHARED + 2):
        image = open_image(picture(1))
        image.putpixel((100 + number, 120), (255, 0, 0))
        series.append(stored(image))
    evaluation = [question(f"e{number}", f"Puzzle {number}?", images=(series[number],)) for number in range(MAX_SHARED + 1)]
    assert against(*evaluation[:-1]).reason(question("t", "New puzzle?", images=(series[-1],))) is not None
    assert against(*evaluation).reason(question("t", "New puzzle?", images=(series[-1],))) is None
    assert against(*evaluation).reason(question("t", "New puzzle?", images=(series[2],))) == "evaluation question e2: the same picture"


def test_the_same_words_with_another_answer_on_a_like_picture_are_another_question() -> None:
    image = open_image(picture(1))
    image.putpixel((100, 120), (255, 0, 0))
    judge = against(question("e1", "How many red dots?", answer="0", images=(picture(1),)))
    assert judge.reason(question("t", "How many red dots?", answer="1", images=(stored(image),))) is None
    assert judge.reason(question("t", "How many boxes?", answer="1", images=(stored(image),))) is not None
    # Not plainly another: with a unit, unknown, or an option.
    assert judge.reason(question("t", "How many red dots?", answer="0 dots", images=(stored(image),))) is not None
    assert judge.reason(question("t", "How many red dots?", images=(stored(image),))) is not None
    assert judge.reason(question("t", "How many red dots?", answer="A", choices=("1", "0"), images=(stored(image),))) is not None


@pytest.mark.parametrize(
    ("match", "found"),
    # same words; same picture; both of one question; words of one question and the picture of another
    [
        ("text", (True, False, True, True)),
        ("image", (False, True, True, True)),
        ("either", (True,) * 4),
        ("both", (False, False, True, False)),
    ],
)
def test_match_says_what_is_needed(match: str, found: tuple[bool, ...]) -> None:
    judge = against(question("e1", LONG, images=(picture(1),)), question("e2", "Other?", images=(picture(2),)), match=match)
    asked = [(LONG, 3), ("New?", 1), (LONG, 1), (LONG, 2)]
    assert tuple(judge.reason(question("t", text, images=(picture(seed),))) is not None for text, seed in asked) == found


def test_without_pictures_on_either_side_both_is_the_words() -> None:
    # The one with a picture comes first, and is passed over.
    judge = against(question("e2", f"{LONG} and back", images=(picture(1),)), question("e1", LONG), match="both")
    assert (judge.reason(question("t", LONG)) or "").startswith("evaluation question e1: 13 words in a row")
    assert judge.reason(question("t", f"{' '.join(LONG.split()[6:])} and back")) is None


def test_a_picture_that_cannot_be_opened_is_named_with_its_question() -> None:
    broken = question("b1", "One?", images=(ImageRef(data=b"\x89PNG\r\n\x1a\nbroken"),))
    with pytest.raises(DataError, match="Question b1 cannot be compared"):
        against(broken)
    with pytest.raises(DataError, match="Question b1 cannot be compared"):
        against(question("e1", "One?", images=(picture(1),))).reason(broken)
    assert against(broken, match="text").reason(question("t", "Two?")) is None


def test_real_rows_are_found_in_edited_copies_and_not_in_each_other() -> None:
    mathvision, _ = collect([SourceConfig(path=str(FIXTURES / "mathvision" / "test.jsonl"), split="test")], base_dir=None)
    puzzles, _ = collect([SourceConfig(path=str(FIXTURES / "puzzlevqa" / "test.jsonl"), split="test")], base_dir=None)
    assert (len(mathvision), len(puzzles)) == (5, 3)
    for match in ("text", "image", "either", "both"):
        assert [against(*mathvision, match=match).reason(example) for example in puzzles] == [None] * 3
        assert [against(*puzzles, match=match).reason(example) for example in mathvision] == [None] * 5
    judge = against(*mathvision, *puzzles, match="both")
    found = [judge.reason(edited(example)) or "" for example in (*mathvision, *puzzles)]
    expected = [f"evaluation question {example.id}:" for example in (*mathvision, *puzzles)]
    assert [reason[: len(start)] for reason, start in zip(found, expected, strict=True)] == expected


def edited(example: Example) -> Example:
    """In capitals, with other blanks, its pictures half as large and encoded anew."""
    texts = tuple(part if part is IMAGE else str(part).upper().replace(" ", "  ") for part in example.prompt[-1].content)
    images = []
    for ref in example.images:
        image = open_image(ref)
        images.append(stored(image.resize((image.width // 2, image.height // 2)), kind="JPEG"))
    choices = tuple(choice.upper() for choice in example.choices)
    return replace(example, prompt=(Message("user", texts),), images=tuple(images), choices=choices)


SENTENCES = st.lists(st.sampled_from("red blue green dog cat".split()), max_size=8).map(" ".join)


@given(SENTENCES | st.text(max_size=30), SENTENCES | st.text(max_size=30), st.sampled_from(["1", "2", None]), st.sampled_from(["1", None]))
def test_copying_is_symmetric_for_any_two_texts(one: str, other: str, first: str | None, second: str | None) -> None:
    a, b = question("a", one, answer=first), question("b", other, answer=second)
    assert (against(a, ngram=3).reason(b) is None) == (against(b, ngram=3).reason(a) is None)


def test_thousands_of_questions_are_compared_in_seconds() -> None:
    import time

    vocabulary = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "pe") for b in ("ra", "so", "ti", "vu", "we", "xy", "zo")]
    random = np.random.default_rng(0)
    texts = [" ".join(vocabulary[place] for place in random.integers(0, len(vocabulary), 40)) for _ in range(4000)]
    start = time.perf_counter()
    judge = against(*[question(str(number), text) for number, text in enumerate(texts[:2000])])
    found = [judge.reason(question("t", text)) for text in texts]
    assert [reason is not None for reason in found] == [True] * 2000 + [False] * 2000
    assert time.perf_counter() - start < 20  # measured: 0.6
