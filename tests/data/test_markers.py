"""Markers become slots, or the row is a fault."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmpost.data import markers
from vlmpost.data.ledger import RowFault
from vlmpost.records import IMAGE, Message


def user(*content: object) -> list[Message]:
    return [Message("user", tuple(content))]  # type: ignore[arg-type]


def placed(text: str, num_images: int, appended: str = "") -> markers.Placement:
    return markers.place(user(text), num_images=num_images, appended=appended)


@pytest.mark.parametrize("marker", ["<image>", "<image1>", "<image 1>"])
def test_each_form_of_marker_is_a_slot(marker: str) -> None:
    placement = placed(f"Look at {marker} here.", 1)
    assert placement.messages[0].content == ("Look at ", IMAGE, " here.")
    assert placement.notes == ()


def test_an_image_without_a_marker_goes_first_and_is_noted() -> None:
    placement = placed("How many?", 2)
    assert placement.messages[0].content == (IMAGE, IMAGE, "How many?")
    assert placement.notes == (markers.NOTE_FIRST,)


def test_images_without_markers_go_into_the_first_user_turn() -> None:
    messages = [Message("system", ("Be brief.",)), Message("user", ("One",)), Message("assistant", ("Yes",)), Message("user", ("Two",))]
    placement = markers.place(messages, num_images=1)
    assert [message.num_images for message in placement.messages] == [0, 1, 0, 0]


def test_numbered_markers_out_of_order_reorder_the_images() -> None:
    placement = placed("<image 2> then <image 1>", 2)
    assert placement.messages[0].content == (IMAGE, " then ", IMAGE)
    assert placement.order == (1, 0)


def test_a_second_mention_of_an_image_becomes_text() -> None:
    placement = placed("<image1> and <image2>; in <image1> count", 2)
    assert placement.messages[0].content == (IMAGE, " and ", IMAGE, "; in image 1 count")
    assert placement.notes == (markers.NOTE_REPEATED,)


def test_a_merged_picture_takes_the_first_marker_and_the_others_become_text() -> None:
    placement = placed("Piece\n<image1>\nWhich\n<image2>", 1)
    assert placement.messages[0].content == ("Piece\n", IMAGE, "\nWhich\nimage 2")
    assert placement.order == (0,)
    assert placement.notes == (markers.NOTE_MERGED,)


def test_a_merged_picture_named_only_by_options_goes_first() -> None:
    placement = placed("Which graph?", 1, "\n(A) <image1>\n(B) <image2>")
    assert placement.messages[0].content == (IMAGE, "Which graph?\n(A) image 1\n(B) image 2")
    assert placement.notes == (markers.NOTE_MERGED,)


def test_markers_in_options_take_separate_images() -> None:
    placement = placed("Which?", 2, "\n(A) <image 1>\n(B) <image 2>")
    assert placement.messages[0].content == ("Which?\n(A) ", IMAGE, "\n(B) ", IMAGE)


def test_the_line_break_after_a_leading_marker_is_dropped_and_others_stay() -> None:
    assert placed("<image>\n<image>\nWhy?\n", 2).messages[0].content == (IMAGE, IMAGE, "Why?\n")
    assert placed("Why?\n<image>\nSo", 1).messages[0].content == ("Why?\n", IMAGE, "\nSo")


@pytest.mark.parametrize(
    ("text", "num_images", "detail"),
    [
        ("<image> and <image>", 1, "2 markers, 1 image"),
        ("<image>", 2, "1 marker, 2 images"),
        ("<image>", 0, "1 marker, 0 images"),
        ("<image1> <image2>", 0, "2 markers (<image1>, <image2>), 0 images"),
        ("<image1> <image3>", 2, "2 markers (<image1>, <image3>), 2 images"),
        ("<image0> <image1>", 2, "2 markers (<image0>, <image1>), 2 images"),
        ("<image> and <image1>", 2, "both numbered and plain markers"),
    ],
)
def test_markers_that_do_not_fit_the_images_are_a_fault_with_both_counts(text: str, num_images: int, detail: str) -> None:
    with pytest.raises(RowFault) as caught:
        placed(text, num_images)
    assert (caught.value.reason, caught.value.detail) == (markers.MISMATCH, detail)


def test_a_marker_in_an_assistant_turn_is_a_fault() -> None:
    with pytest.raises(RowFault, match="outside a user turn: in a assistant turn"):
        markers.place([*user("Hi"), Message("assistant", ("<image>",)), *user("Why?")], num_images=1)


def test_blocks_and_markers_in_one_text_are_counted_together() -> None:
    with pytest.raises(RowFault, match="2 markers, 1 image"):
        markers.place(user(IMAGE, "what is <image>?"), num_images=1)


words = st.text(alphabet=st.characters(exclude_characters="<>", exclude_categories=("Cs",)), max_size=12)


@settings(deadline=None)
@given(texts=st.lists(words, min_size=1, max_size=6), num_images=st.integers(0, 6))
def test_plain_markers_keep_all_text_and_fill_all_images_or_fault(texts: list[str], num_images: int) -> None:
    joined = "<image>".join(texts)
    num_markers = len(texts) - 1
    if num_markers not in (0, num_images) or (num_markers and not num_images):
        with pytest.raises(RowFault):
            placed(joined, num_images)
        return
    placement = placed(joined, num_images)
    assert placement.messages[0].num_images == num_images == len(placement.order)
    assert placement.messages[0].text.replace("\n", "") == "".join(texts).replace("\n", "")


@settings(deadline=None)
@given(mentions=st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_numbered_markers_use_each_image_once_in_order_of_first_mention(mentions: list[int]) -> None:
    num_images = max(mentions)
    text = " ".join(f"<image{number}>" for number in mentions)
    if num_images > 1 and set(mentions) != set(range(1, num_images + 1)):
        with pytest.raises(RowFault):
            placed(text, num_images)
        return
    placement = placed(text, num_images)
    assert [index + 1 for index in placement.order] == list(dict.fromkeys(mentions))
    assert placement.messages[0].text.count("image ") == len(mentions) - num_images


@settings(deadline=None)
@given(st.text(max_size=60))
def test_text_without_a_marker_passes_unchanged(text: str) -> None:
    if markers.MARKER.search(text) or not text:
        return
    assert placed(text, 0).messages[0].content == (text,)


def test_a_solution_names_images_in_words() -> None:
    assert markers.without_markers("In <image2> and <image>.") == "In image 2 and the image."
