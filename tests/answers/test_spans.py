"""Where the answer stands in a text; positions counted by hand."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmpost.answers.spans import (
    Region,
    after_refusal,
    answer_end,
    answer_region,
    boxed_answer,
    candidates,
    firm_place,
    first_sentence,
    is_refusal,
    is_short,
    last_box,
    last_line,
    phrase_places,
    sentences_backward,
)


def spans(text: str) -> list[tuple[str, str]]:
    region = answer_region(text)
    return [(span.rule, text[span.start : span.end]) for span in candidates(text, region)]


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("7", Region(0, 1)),
        ("  7 \n", Region(2, 3)),
        ("<s> 7</s>", Region(4, 5)),
        ("<bos>7<eos>", Region(5, 6)),
        ("<|assistant|> 7<|im_end|>9", Region(14, 15)),
        ("<think>1</think>7", Region(16, 17)),
        ("1</think>7", Region(9, 10)),
        ("<think>1</think><think>2</think>7", Region(32, 33)),
        ("<THINKING>1</THINKING>7", Region(22, 23)),
        ("<think>1", Region(0, 8, "unclosed_think")),
        ("<think>1</think>2<think>3", Region(16, 25, "unclosed_think")),
        ("", Region(0, 0, "no_answer")),
        ("<think>1</think>  ", Region(18, 18, "no_answer")),
        ("\x00\x00", Region(2, 2, "no_answer")),
    ],
)
def test_region_is_what_follows_the_thinking(text: str, region: Region) -> None:
    assert answer_region(text) == region


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("7", ("whole_text", "7")),
        ("The answer is 7.", ("answer_phrase", "7")),
        ("The answer is: **7**. Then more.", ("answer_phrase", "7**")),
        ("Final answer: 7\nand so on", ("final_answer_phrase", "7")),
        ("The answer is 6. The final answer is 7.", ("final_answer_phrase", "7")),
        ("The answer is 6. No, the answer is 7.", ("answer_phrase", "7")),
        ("The answer is:\n\n\\[x = 7\\]", ("answer_phrase", "\\[x = 7\\]")),
        ("#### 7", ("answer_phrase", "7")),
        ("\u7b54\u6848\u662f7\u3002", ("answer_phrase", "7")),
        ("\u7b54\u6848\uff1a7", ("answer_phrase", "7")),
        ("<answer> 7 </answer> x", ("answer_tag", " 7 ")),
        ("<answer>1</answer><answer>7</answer>", ("answer_tag", "7")),
        ("<answer>\\boxed{7}</answer>", ("answer_tag", "7")),
        ("\\boxed{6} then \\boxed{\\frac{1}{2}}", ("last_box", "\\frac{1}{2}")),
        ("\\fbox{7}", ("last_box", "7")),
        ("\\boxed{6} and \\boxed{7}", ("last_box", "6} and \\boxed{7")),
        ("first\n\nThen there are seven.", ("last_line", "Then there are seven.")),
        ("first\nseven in all.\nI hope this helps!", ("last_line", "seven in all.")),
        ("so \\boxed{7", ("unclosed_box", "")),
    ],
)
def test_the_surest_place_comes_first(text: str, first: tuple[str, str]) -> None:
    assert spans(text)[0] == first


def test_a_firm_place_is_the_only_one() -> None:
    assert len(spans("The answer is 6. \\boxed{7}")) == 1


def test_boxes_side_by_side_are_pieces_of_one_place() -> None:
    text = "so \\boxed{6} and \\boxed{7}"
    place = firm_place(text, 0, len(text))
    assert place is not None
    assert [text[start:end] for start, end in place.pieces] == ["6", "7"]
    assert boxed_answer(text) == "6, 7"
    assert boxed_answer("\\boxed{6} is not all there is to it, so \\boxed{7}") == "7"
    assert boxed_answer("none") is None


def test_last_box_is_balanced_and_outermost() -> None:
    text = "\\boxed{\\boxed{1} + {2}} }"
    place = last_box(text)
    assert place is not None
    assert text[slice(*place)] == "\\boxed{1} + {2}"
    assert last_box("\\boxed{1") is None


def test_text_that_runs_on_into_a_question_ends_before_it() -> None:
    text = "The answer is 7.\n\nQuestion: And now?\nThe answer is 8."
    assert text[: answer_end(text, 0, len(text))] == "The answer is 7.\n\n"
    restated = "Question: how many?\nThe answer is 8."
    assert answer_end(restated, 0, len(restated)) == len(restated)
    unanswered = "Let me see.\nQuestion: how many?\nIt is 8."
    assert answer_end(unanswered, 0, len(unanswered)) == len(unanswered)


def test_phrases_come_last_first_and_final_ones_before_others() -> None:
    text = "The final answer is 1. The answer is 2. The answer is 3."
    found = [(span.rule, text[span.start : span.end]) for span in phrase_places(text, 0, len(text))]
    assert found == [("final_answer_phrase", "1"), ("answer_phrase", "3"), ("answer_phrase", "2"), ("answer_phrase", "1")]


def test_a_denied_answer_is_not_announced() -> None:
    text = "The answer is not 7"
    assert list(phrase_places(text, 0, len(text))) == []


def test_sentences_are_cut_at_marks_and_lines_and_not_at_decimals_or_initials() -> None:
    text = "It is 3.5 cm. The J. Smith case!\nEnd"
    parts = [text[left:right].strip() for left, right in sentences_backward(text, 0, len(text))]
    assert parts == ["End", "The J. Smith case!", "It is 3.5 cm."]
    assert text[slice(*first_sentence(text, 0, len(text)))] == "It is 3.5 cm."


def test_refusals_are_looked_for_at_the_end_only() -> None:
    refused = "I am sorry, I cannot see the image."
    assert is_refusal(refused, answer_region(refused))
    early = refused + " Still, here is what I know." + " word" * 100
    assert not is_refusal(early, answer_region(early))
    place = after_refusal(refused, answer_region(refused))
    assert place is not None
    assert refused[place:] == " the image."


def test_short_text_is_one_line_without_an_announcement() -> None:
    assert is_short("seven", 0, 5)
    assert not is_short("The answer is 7", 0, 15)
    assert not is_short("1\n2", 0, 3)
    assert not is_short("x" * 61, 0, 61)


def test_last_line_may_be_a_display_formula() -> None:
    text = "so\n\\[\nx = 7\n\\]"
    assert text[slice(*last_line(text, 0, len(text)))] == "\\[\nx = 7\n\\]"


@given(st.text(alphabet="ab .\n<>/answerthink\\boxed{}$*:\x00", max_size=120))
def test_every_place_lies_in_the_region(text: str) -> None:
    region = answer_region(text)
    if region.fault:
        return
    for span in candidates(text, region):
        assert region.start <= span.start <= span.end <= region.end
        assert all(span.start <= start <= end <= span.end for start, end in span.pieces)


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "\\boxed{", "{", "<answer>", "answer is ", "\n", "A. ", "<s>", "Question: x\n", "<|a|>"]
)
def test_repeated_pieces_take_linear_time(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    started = time.process_time()
    region = answer_region(text)
    if not region.fault:
        list(candidates(text, region))
    assert time.process_time() - started < 4.0
