"""VLMEvalKit tables: cells are texts, images are checked, references resolve."""

from __future__ import annotations

import base64
import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vlmpost.data import Ledger, tsv
from vlmpost.errors import DataError
from vlmpost.records import IMAGE, Example

Read = Callable[..., tuple[list[Example], Ledger]]


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([header, *rows])
    return path


@pytest.fixture
def cell(drawn: Callable[..., bytes]) -> str:
    return base64.b64encode(drawn()).decode()


def test_a_choice_row_has_its_image_options_and_letter(tmp_path: Path, read_path: Read, cell: str) -> None:
    header = ["index", "image", "question", "hint", "A", "B", "C", "answer", "l2-category"]
    path = write(tmp_path / "t.tsv", header, [["7", cell, "Colour?", "Look.", "None", "NA", "", "B", "x"]])
    examples, ledger = read_path(path)
    assert ledger.num_dropped == 0
    example = examples[0]
    assert (example.id, example.answer, example.choices) == ("7", "B", ("None", "NA"))
    assert example.prompt[0].content == (IMAGE, "Hint: Look.\nColour?\n(A) None\n(B) NA")
    assert example.meta["l2-category"] == "x"


def test_leading_zeros_stay(tmp_path: Path, read_path: Read, cell: str) -> None:
    examples, _ = read_path(write(tmp_path / "t.tsv", ["index", "image", "question", "answer"], [["1", cell, "?", "025"]]))
    assert examples[0].answer == "025"


def test_several_images_stand_in_a_list(tmp_path: Path, read_path: Read, drawn: Callable[..., bytes]) -> None:
    pair = [drawn(colour=colour) for colour in ("red", "blue")]
    listed = str([base64.b64encode(data).decode() for data in pair])
    path = write(tmp_path / "t.tsv", ["index", "image", "question", "answer"], [["1", listed, "<image 2> or <image 1>?", "x"]])
    examples, _ = read_path(path)
    assert [ref.data for ref in examples[0].images] == [pair[1], pair[0]]


def test_a_short_cell_is_a_reference_in_either_direction(tmp_path: Path, read_path: Read, cell: str, drawn: Callable[..., bytes]) -> None:
    rows = [["1", "2", "a?", "x"], ["2", cell, "b?", "y"], ["3", "2", "c?", "z"]]
    examples, _ = read_path(write(tmp_path / "t.tsv", ["index", "image", "question", "answer"], rows))
    assert [example.images[0].data for example in examples] == [drawn()] * 3


def test_bad_images_are_faults_with_their_reasons(tmp_path: Path, read_path: Read, cell: str) -> None:
    text = base64.b64encode(b"this is text, and long enough to be no reference" * 3).decode()
    rows = [["1", "2", "?", "x"], ["2", "9", "?", "x"], ["3", text, "?", "x"], ["4", cell[:-3] + "*!", "?", "x"], ["5", cell, "?", "x"]]
    _, ledger = read_path(write(tmp_path / "t.tsv", ["index", "image", "question", "answer"], rows))
    assert {drop.id: drop.reason for drop in ledger.drops} == {
        "1": "image reference to a reference",
        "2": "image reference not found",
        "3": "bytes are not an image",
        "4": "image is not base64",
    }


def test_a_letter_without_an_option_is_a_fault(tmp_path: Path, read_path: Read, cell: str) -> None:
    path = write(tmp_path / "t.tsv", ["index", "image", "question", "A", "B", "answer"], [["1", cell, "?", "x", "y", "C"]])
    _, ledger = read_path(path)
    assert [(drop.reason, drop.where) for drop in ledger.drops] == [("answer without an option", "t.tsv:2")]


def test_image_paths_are_used_where_there_is_no_image(tmp_path: Path, read_path: Read, drawn: Callable[..., bytes]) -> None:
    (tmp_path / "p.png").write_bytes(drawn())
    path = write(
        tmp_path / "t.tsv", ["index", "image_path", "question", "answer"], [["1", "['p.png']", "?", "x"], ["2", "p.png", "?", "x"]]
    )
    examples, _ = read_path(path)
    assert [example.images[0].path for example in examples] == [str(tmp_path / "p.png")] * 2


def test_a_row_with_a_cell_too_many_is_a_fault_not_a_shift(tmp_path: Path, read_path: Read) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("index\tquestion\tanswer\n1\ta\tb\tc\n2\ta\tb\n")
    examples, ledger = read_path(path)
    assert [example.id for example in examples] == ["2"]
    assert ledger.drops[0].detail == "4 cells, 3 columns"


def test_a_quote_that_is_never_closed_is_refused(tmp_path: Path, read_path: Read) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('index\tquestion\tanswer\n1\t"a\tb\n2\tc\td\n')
    with pytest.raises(DataError, match=r"t\.tsv:\d+: the quoting of the table is broken"):
        read_path(path)


def test_a_column_named_twice_and_an_empty_file_are_refused(tmp_path: Path, read_path: Read) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("index\tquestion\tquestion\n")
    with pytest.raises(DataError, match="a column name appears twice"):
        read_path(path)
    path.write_text("")
    with pytest.raises(DataError, match="the file is empty"):
        read_path(path)


def test_cells_longer_than_the_csv_limit_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "t.tsv", ["index", "question"], [["1", "x" * 200_000]])
    assert [len(str(row["question"])) for _, row, _ in tsv.read(path)] == [200_000]


cells = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_any_text_survives_the_quoting(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = write(tmp_path / "t.tsv", ["index", "question", "answer"], [[str(n), *row] for n, row in enumerate(rows)])
    found = [(row.get("question", ""), row.get("answer", "")) for _, row, _ in tsv.read(path)]
    assert found == rows
