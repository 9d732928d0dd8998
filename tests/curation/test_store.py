from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost import jsonl
from vlmpost.curation.records import Answer, Ask, Failure
from vlmpost.curation.store import Sample, Store
from vlmpost.errors import DataError, RunError
from vlmpost.records import Example, Message, Verdict

ANSWER = Answer("I think \\boxed{2}", 7, "length", "t", (("clarify", "what is asked"), ("answer", "2")))
SAMPLE = Sample("answer", "q", 1, 2**62, ANSWER, Verdict("correct", "2", "last_box"))
UNJUDGED = Sample("without_images", "q", 1, 0, Answer("", None, "stop", "t"), None)


def test_what_came_reads_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ask = Ask(Example("p", "task", (Message("user", ("?",)),)), 3, 5)
    store.append(SAMPLE)
    store.append_failure("answer", ask, Failure("too long", "t", lasting=True))
    store.append(UNJUDGED)
    came = store.read()
    assert came.samples == {("answer", "q", 1): SAMPLE, ("without_images", "q", 1): UNJUDGED}
    assert came.failures == {("answer", "p", 3): Failure("too long", "t", lasting=True)}
    assert ("answer", "p", 3) in came
    assert ("answer", "p", 2) not in came


@pytest.mark.parametrize("num_bytes", [1, 2, 30])
def test_a_torn_line_is_cut_before_anything_is_added(tmp_path: Path, num_bytes: int) -> None:
    store = Store(tmp_path)
    store.append(SAMPLE)
    whole = store.samples_path.read_bytes()
    store.append(UNJUDGED)
    store.samples_path.write_bytes(store.samples_path.read_bytes()[:-num_bytes])
    with store.held():
        assert store.samples_path.read_bytes() == whole
        store.append(UNJUDGED)
    assert set(store.read().samples.values()) == {SAMPLE, UNJUDGED}


@pytest.mark.parametrize(("content", "expected"), [(b"", b""), (b"{", b""), (b"{}\n" + b"x" * 200_000, b"{}\n"), (b"{}\n", b"{}\n")])
def test_only_what_follows_the_last_whole_line_is_cut(tmp_path: Path, content: bytes, expected: bytes) -> None:
    store = Store(tmp_path)
    store.samples_path.write_bytes(content)
    with store.held():
        assert store.samples_path.read_bytes() == expected


def test_a_sample_that_stands_there_twice_is_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(SAMPLE)
    store.append(SAMPLE)
    with pytest.raises(DataError, match=r"samples\.jsonl:2: sample 1 of 'q' stands there twice"):
        store.read()


@pytest.mark.parametrize(
    "change",
    [{"purpose": "joke"}, {"sample": "1"}, {"stop_reason": "tired"}, {"text": None}, {"verdict": {"outcome": "fine"}}, {"actions": 3}],
)
def test_a_line_that_is_no_sample_is_named(tmp_path: Path, change: jsonl.Row) -> None:
    store = Store(tmp_path)
    jsonl.append(store.samples_path, [{**SAMPLE.to_row(), **change}])
    with pytest.raises(DataError, match=r"samples\.jsonl:1: not a sample of a curation"):
        store.read()


def test_settings_may_grow_and_not_change(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.settle({"config": {"seed": 0, "data": [1]}})
    store.append(SAMPLE)
    store.settle({"teacher": "t"})
    store.settle({"config": {"seed": 0, "data": [1]}, "teacher": "t"})
    with pytest.raises(RunError, match=r"config\.seed was 0, is 1; config\.data was \[1\], is \[2\]"):
        store.settle({"config": {"seed": 1, "data": [2]}})
    assert jsonl.read_json(store.settings_path) == {"config": {"seed": 0, "data": [1]}, "teacher": "t"}


def test_settings_may_change_as_long_as_nothing_came(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.settle({"config": {"seed": 0}, "teacher": "t"})
    store.settle({"config": {"seed": 1}})
    store.append(SAMPLE)
    with pytest.raises(RunError, match=r"config\.seed was 1, is 0"):
        store.settle({"config": {"seed": 0}})


def test_answers_without_their_settings_are_not_continued(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(SAMPLE)
    with pytest.raises(RunError, match=r"holds answers without curation\.json"):
        store.settle({"teacher": "t"})


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(RunError, match="out is a file, and the answers need a folder"), Store(tmp_path / "out").held():
        pass


def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path / "new").held(), pytest.raises(RunError, match="another process"), Store(tmp_path / "new").held():
        pass
    with Store(tmp_path / "new").held():
        pass
