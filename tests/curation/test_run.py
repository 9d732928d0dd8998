"""Curation from end to end, with a scripted teacher and with the shipped model: nothing lost, nothing twice, all accounted for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.curation.scripted_teacher import Killed, ScriptedTeacher
from vlmpost import jsonl
from vlmpost.config.curate import CurateConfig
from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.curation import curate
from vlmpost.curation.records import Answer, Ask, Failure
from vlmpost.curation.store import Store
from vlmpost.data import build
from vlmpost.errors import DataError, RunError
from vlmpost.models.sampling import row_seed

FIXTURES = Path(__file__).parents[1] / "data" / "fixtures"
ROWS = (
    {"id": "a", "question": "What is 1 + 1?", "answer": "2", "solution": "One and one is \\boxed{2}"},
    {"id": "b", "question": "What is 2 + 2?", "answer": "4"},
    {"id": "c", "question": "What is 3 + 3?", "answer": "6", "solution": "Three and three is \\boxed{6}"},
    {"id": "d", "question": "Why?", "solution": "Because."},
)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Four questions, the last one without a reference answer."""
    path = tmp_path / "questions.jsonl"
    jsonl.append(path, ROWS)
    return path


def recipe(path: Path, **sections: object) -> CurateConfig:
    return CurateConfig.model_validate({"data": [{"path": str(path)}], "num_samples": 3, **sections})


def by_script(script: Mapping[str, Sequence[str | Answer | Failure]]) -> ScriptedTeacher:
    """Says script[question][sample]."""
    return ScriptedTeacher(lambda ask: script[ask.example.id][ask.sample])


def right(ask: Ask) -> str:
    return f"{'so ' * ask.sample}\\boxed{{{ask.example.answer}}}"


def read(path: Path) -> list[dict[str, object]]:
    return [row for _, row in jsonl.read(path)]


def files_of(folder: Path) -> dict[str, bytes]:
    """What a curation left, samples in order of their numbers."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != ".lock"}
    return {**found, "samples.jsonl": b"".join(sorted(found["samples.jsonl"].splitlines(keepends=True)))}


def test_every_question_and_every_sample_ends_in_one_bin(questions: Path, tmp_path: Path) -> None:
    script = {
        "a": ["\\boxed{2}", "\\boxed{3}", "\\boxed{2}"],  # right, wrong, the same as the first
        "b": [Answer("\\boxed{4}", 5, "length", "scripted"), "I do not know.", "So \\boxed{4}"],  # truncated, no answer, right
        "c": ["\\boxed{7}", "\\boxed{7}", "\\boxed{8}"],  # all wrong
    }
    ledger = curate(recipe(questions), tmp_path / "out", teacher=by_script(script)).ledger
    assert ledger.questions.num_all == 4
    assert ledger.questions.bins == {"kept": {"answers": 2}, "dropped": {"no answer passed": 1, "no reference answer": 1}, "failed": {}}
    assert ledger.samples.num_all == 9  # three questions were asked, three times each
    assert ledger.samples.bins["kept"] == {"correct": 2}
    dropped = dict(ledger.samples.bins["dropped"])
    assert dropped.pop("wrong") == 4
    assert (dropped.pop("truncated"), dropped.pop("duplicate")) == (1, 1)
    assert sum(dropped.values()) == 1  # the text without an answer
    assert (ledger.num_rows, ledger.finished) == (2, True)
    ledger.check()
    fates = read(tmp_path / "out" / "fates.jsonl")
    assert [fate["id"] for fate in fates] == ["a", "b", "c", "d"]
    assert fates[0]["samples"] == ["kept: correct", "dropped: wrong", "dropped: duplicate"]
    assert json.loads((tmp_path / "out" / "ledger.json").read_text())["samples"]["kept"] == {"all": 2, "correct": 2}


def test_a_kept_row_reads_back_as_its_question_with_the_answer_as_solution(tmp_path: Path) -> None:
    source = SourceConfig(path=str(FIXTURES / "mathvision" / "test.jsonl"))
    examples, _ = build([source], data=DataConfig(train=[source]), base_dir=None)
    config = CurateConfig(data=[source], num_samples=2, keep={"which": "longest", "num": 1})  # type: ignore[arg-type]  # a section
    teacher = ScriptedTeacher(right)
    result = curate(config, tmp_path / "out", teacher=teacher)
    assert result.train_path is not None
    kept = SourceConfig(path=str(result.train_path))
    rows, _ = build([kept], data=DataConfig(train=[kept]), base_dir=None)
    assert [row.id for row in rows] == [f"{example.id}/1" for example in examples]
    for row, example in zip(rows, examples, strict=True):
        assert (row.prompt, row.answer, row.choices) == (example.prompt, example.answer, example.choices)
        assert row.solution == f"so \\boxed{{{example.answer}}}"
        assert [Path(str(ref.path)).read_bytes() for ref in row.images] == [Path(str(ref.path)).read_bytes() for ref in example.images]


def test_every_row_says_where_it_comes_from(questions: Path, tmp_path: Path) -> None:
    script = {
        "a": ["\\boxed{2}", "\\boxed{3}", "\\boxed{3}"],
        "b": ["\\boxed{1}", "\\boxed{1}", Answer("Cut \\boxed{4}", 64, "length", "scripted")],
        "c": ["\\boxed{1}"] * 3,
    }
    config = recipe(questions, filters={"truncated": False}, generation={"temperature": 0.7, "top_p": 0.95}, seed=5)
    curate(config, tmp_path / "out", teacher=by_script(script))
    first, second = (row["meta"]["curation"] for row in read(tmp_path / "out" / "train.jsonl"))  # type: ignore[index]
    assert first == {
        "question_id": "a",
        "source": "questions",
        "origin": "sample",
        "sample": 0,
        "seed": row_seed(5, "curate", "a", 0),
        "teacher": "scripted",
        "temperature": 0.7,
        "top_p": 0.95,
        "num_tokens": 1,
        "truncated": False,
        "verdict": "correct",
        "rule": "last_box",
        "actions": [],
        "num_right": 1,
        "num_tried": 3,
    }
    assert (second["question_id"], second["sample"], second["truncated"]) == ("b", 2, True)


@pytest.mark.parametrize("dies_after", [0, 1, 4, 8])
def test_an_interrupted_curation_goes_on_and_ends_as_one_that_was_not(questions: Path, tmp_path: Path, dies_after: int) -> None:
    config = recipe(questions, filters={"correct": True, "duplicates": "keep"})
    whole = ScriptedTeacher(right)
    curate(config, tmp_path / "out", teacher=whole)
    wanted = files_of(tmp_path / "out")
    broken = tmp_path / "broken" / "out"
    dying, second = ScriptedTeacher(right, dies_after=dies_after), ScriptedTeacher(right)
    with pytest.raises(Killed):
        curate(config, broken, teacher=dying)
    curate(config, broken, teacher=second)
    assert files_of(broken) == wanted
    assert Counter(dying.keys + second.keys) == Counter(whole.keys)  # each was asked once
    assert len(second.asked) == 9 - dies_after


def test_a_torn_last_line_is_asked_again_and_others_are_not(questions: Path, tmp_path: Path) -> None:
    config, broken = recipe(questions), tmp_path / "broken" / "out"
    curate(config, tmp_path / "out", teacher=ScriptedTeacher(right))
    with pytest.raises(Killed):
        curate(config, broken, teacher=ScriptedTeacher(right, dies_after=3))  # asked last first: c2, c1, c0
    samples = broken / "samples.jsonl"
    samples.write_bytes(samples.read_bytes()[:-20])
    again = ScriptedTeacher(right)
    curate(config, broken, teacher=again)
    assert files_of(broken) == files_of(tmp_path / "out")
    assert ("c", 0) in again.keys
    assert not {("c", 1), ("c", 2)} & set(again.keys)


def test_a_finished_folder_asks_nobody(questions: Path, tmp_path: Path) -> None:
    first = curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right))
    before = files_of(tmp_path / "out")
    teacher = ScriptedTeacher(right)
    again = curate(recipe(questions), tmp_path / "out", teacher=teacher)
    assert teacher.asked == []
    assert again == first
    assert files_of(tmp_path / "out") == before


def test_a_failed_sample_is_asked_again_by_the_next_call_and_no_other(questions: Path, tmp_path: Path) -> None:
    config = recipe(questions)
    busy = Failure("rate limit", "scripted")
    first = curate(config, tmp_path / "out", teacher=ScriptedTeacher(lambda ask: busy if ask.example.id == "a" else right(ask))).ledger
    assert not first.finished
    assert first.samples.bins["failed"] == {"rate limit": 3}
    assert first.questions.bins["failed"] == {"answers failed": 1}
    again = ScriptedTeacher(right)
    second = curate(config, tmp_path / "out", teacher=again).ledger
    assert sorted(again.keys) == [("a", 0), ("a", 1), ("a", 2)]
    assert second.finished
    assert second.samples.bins["kept"] == {"correct": 9}
    assert len(read(tmp_path / "out" / "train.jsonl")) == 9


def test_a_lasting_failure_is_dropped_and_not_asked_again(questions: Path, tmp_path: Path) -> None:
    config = recipe(questions)
    says = {"a": Failure("too long for the model", "scripted", lasting=True), "b": Failure("rate limit", "scripted")}
    first = curate(config, tmp_path / "out", teacher=ScriptedTeacher(lambda ask: says.get(ask.example.id) or right(ask))).ledger
    assert first.samples.bins["dropped"] == {"too long for the model": 3}
    again = ScriptedTeacher(right)
    assert curate(config, tmp_path / "out", teacher=again).ledger.finished
    assert {id for id, _ in again.keys} == {"b"}


def test_other_settings_are_refused_by_name(questions: Path, tmp_path: Path) -> None:
    curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right))
    with pytest.raises(RunError, match=r"another curation: config.keep.which was \"all\", is \"longest\""):
        curate(recipe(questions, keep={"which": "longest"}), tmp_path / "out", teacher=ScriptedTeacher(right))
    with pytest.raises(RunError, match="measure_only was false, is true"):
        curate(recipe(questions), tmp_path / "out", measure_only=True, teacher=ScriptedTeacher(right))


def test_how_fast_answers_come_is_no_setting(questions: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right, dies_after=2))
    slower = recipe(questions, generation={"max_concurrent": 1}, teacher={"max_tries": 1, "max_concurrent": 1, "max_seconds": 9})
    assert curate(slower, tmp_path / "out", teacher=ScriptedTeacher(right)).ledger.finished


def test_other_questions_and_other_teachers_are_refused(questions: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right, dies_after=2))
    other = ScriptedTeacher(right)
    other.name = "another"
    with pytest.raises(RunError, match='teacher was "scripted", is "another"'):
        curate(recipe(questions), tmp_path / "out", teacher=other)
    questions.write_text(questions.read_text().replace("1 + 1", "1 + 2"))
    with pytest.raises(RunError, match="questions was"):
        curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right))


def test_a_second_process_is_refused(questions: Path, tmp_path: Path) -> None:
    with Store(tmp_path / "out").held(), pytest.raises(RunError, match=r"another process is writing .* choose another folder"):
        curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right))


def test_nothing_kept_is_an_error_that_says_why(questions: Path, tmp_path: Path) -> None:
    wrong = ScriptedTeacher(lambda ask: "\\boxed{0}")
    with pytest.raises(DataError, match=r"no answer was kept(.|\n)*9  dropped: wrong"):
        curate(recipe(questions), tmp_path / "out", teacher=wrong)
    with pytest.raises(DataError, match="no answer was kept"):  # and again, without asking
        curate(recipe(questions), tmp_path / "out", teacher=wrong)
    assert len(wrong.asked) == 9


def test_measuring_writes_pass_rates_and_no_rows(questions: Path, tmp_path: Path) -> None:
    script = {
        "a": ["\\boxed{2}", "\\boxed{2}", "\\boxed{3}"],
        "b": [Failure("timeout", "scripted"), "\\boxed{4}", Answer("and so on", 9, "length", "scripted")],
        "c": ["\\boxed{1}"] * 3,
    }
    result = curate(recipe(questions), tmp_path / "out", measure_only=True, teacher=by_script(script))
    assert result.train_path is None
    assert not (tmp_path / "out" / "train.jsonl").exists()
    # b: one failure does not count, the truncated answer does; d has no reference answer.
    assert read(result.pass_rates_path) == [
        {"id": "a", "num_right": 2, "num_tried": 3},
        {"id": "b", "num_right": 1, "num_tried": 2},
        {"id": "c", "num_right": 0, "num_tried": 3},
    ]
    assert result.ledger.questions.bins["kept"] == {"measured": 3}
    assert result.ledger.samples.total("kept") == 8
    assert not result.ledger.finished


def test_relative_paths_start_from_the_folder_that_is_given(questions: Path, tmp_path: Path) -> None:
    jsonl.append(tmp_path / "rates.jsonl", [{"id": "a", "num_right": 0, "num_tried": 4}])
    config = CurateConfig.model_validate(
        {"data": [{"path": "questions.jsonl"}], "num_samples": 1, "questions": {"pass_rates": "rates.jsonl"}}
    )
    assert questions.parent == tmp_path
    assert curate(config, tmp_path / "out", base_dir=tmp_path, teacher=ScriptedTeacher(right)).ledger.num_rows == 1


def test_only_hard_questions_are_asked(questions: Path, tmp_path: Path) -> None:
    rates = tmp_path / "rates.jsonl"
    jsonl.append(rates, [{"id": "a", "num_right": 0, "num_tried": 4}, {"id": "b", "num_right": 1, "num_tried": 4}])
    teacher = ScriptedTeacher(right)
    ledger = curate(recipe(questions, questions={"pass_rates": str(rates)}), tmp_path / "out", teacher=teacher).ledger
    assert {id for id, _ in teacher.keys} == {"a"}
    assert ledger.questions.bins["dropped"] == {
        "no reference answer": 1,
        "pass rate above questions.max_pass_rate": 1,
        "pass rate not known": 1,
    }


def test_questions_of_an_evaluation_set_are_not_asked(questions: Path, tmp_path: Path) -> None:
    held_out = tmp_path / "held_out.jsonl"
    jsonl.append(held_out, [{"id": "x", "question": "What is 2 + 2?", "answer": "4"}])
    teacher = ScriptedTeacher(right)
    ledger = curate(recipe(questions, decontaminate={"against": [{"path": str(held_out)}]}), tmp_path / "out", teacher=teacher).ledger
    assert {id for id, _ in teacher.keys} == {"a", "c"}
    assert ledger.questions.bins["dropped"] == {"in an evaluation set": 1, "no reference answer": 1}


def test_a_result_may_be_empty_only_where_that_is_said(questions: Path, tmp_path: Path) -> None:
    wrong = ScriptedTeacher(lambda ask: "\\boxed{0}")
    result = curate(recipe(questions), tmp_path / "out", may_be_empty=True, teacher=wrong)
    assert result.train_path is not None
    assert result.train_path.read_text() == ""
    with pytest.raises(DataError, match="no answer was kept"):
        curate(recipe(questions), tmp_path / "out", teacher=wrong)


def test_rows_that_were_deleted_are_written_again_without_asking(questions: Path, tmp_path: Path) -> None:
    curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right))
    before = files_of(tmp_path / "out")
    (tmp_path / "out" / "train.jsonl").unlink()
    teacher = ScriptedTeacher(right)
    curate(recipe(questions), tmp_path / "out", teacher=teacher)
    assert files_of(tmp_path / "out") == before
    assert teacher.asked == []


def test_a_kill_while_rows_are_written_leaves_nothing_behind(tmp_path: Path) -> None:
    config = CurateConfig.model_validate({"data": [{"path": str(FIXTURES / "puzzlevqa" / "test.jsonl")}], "num_samples": 2})
    out = tmp_path / "out"
    curate(config, out, teacher=ScriptedTeacher(right))
    names, before = sorted(path.name for path in out.rglob("*")), files_of(out)
    # Between the two renames of `write_rows`: new images stand there, the rows are still in the temporary folder.
    (out / "ledger.json").unlink()
    (out / ".rows.x").mkdir()
    (out / "train.jsonl").rename(out / ".rows.x" / "train.jsonl")
    curate(config, out, teacher=ScriptedTeacher(right, dies_after=0))
    assert sorted(path.name for path in out.rglob("*")) == names
    assert files_of(out) == before


def test_a_question_without_a_kept_answer_may_fall_back_on_its_own_solution(questions: Path, tmp_path: Path) -> None:
    script = {"a": ["\\boxed{2}"] * 3, "b": ["\\boxed{0}"] * 3, "c": ["\\boxed{0}"] * 3}
    result = curate(recipe(questions, keep={"fallback": "solution"}), tmp_path / "out", teacher=by_script(script))
    rows = read(tmp_path / "out" / "train.jsonl")
    assert [(row["id"], row["solution"]) for row in rows] == [("a/0", "\\boxed{2}"), ("c/solution", ROWS[2]["solution"])]
    assert result.ledger.questions.bins["kept"] == {"answers": 1, "its own solution": 1}
    assert result.ledger.questions.bins["dropped"] == {"no answer passed": 1, "no reference answer": 1}


def test_the_cap_takes_questions_in_turn(questions: Path, tmp_path: Path) -> None:
    config = recipe(questions, keep={"which": "shortest", "num": 2, "max_rows": 4})
    ledger = curate(config, tmp_path / "out", teacher=ScriptedTeacher(right)).ledger
    # Two of each of three questions may be kept; four rows: the first of each, then the second of the first.
    assert [row["id"] for row in read(tmp_path / "out" / "train.jsonl")] == ["a/0", "a/1", "b/0", "c/0"]
    assert ledger.samples.bins["dropped"] == {"beyond keep.num": 3, "beyond keep.max_rows": 2}


def test_a_question_that_is_right_without_its_images_is_not_asked(tmp_path: Path) -> None:
    source = SourceConfig(path=str(FIXTURES / "puzzlevqa" / "test.jsonl"))
    examples, _ = build([source], data=DataConfig(train=[source]), base_dir=None)
    guessed, failing, needed = (example.id for example in examples)

    def says(ask: Ask) -> str | Failure:
        if ask.example.images:
            return right(ask)
        if ask.example.id == failing and ask.sample == 1:
            return Failure("timeout", "scripted")
        return right(ask) if ask.example.id == guessed and ask.sample == 1 else "I see nothing."

    teacher = ScriptedTeacher(says)
    config = CurateConfig.model_validate(
        {"data": [source.model_dump()], "num_samples": 1, "questions": {"needs_image": True, "needs_image_samples": 2}}
    )
    ledger = curate(config, tmp_path / "out", teacher=teacher).ledger
    assert all(ask.example.num_image_slots == len(ask.example.images) for ask in teacher.asked)
    assert [ask.example.id for ask in teacher.asked if ask.example.images] == [needed]
    assert ledger.questions.bins == {
        "kept": {"answers": 1},
        "dropped": {"answered right without its images": 1},
        "failed": {"the check without images failed": 1},
    }
    assert ledger.without_images is not None
    assert ledger.without_images.bins == {"kept": {"not right": 4}, "dropped": {"right": 1}, "failed": {"timeout": 1}}
    assert ledger.samples.num_all == 1


def test_unreadable_rows_are_in_the_ledger(questions: Path, tmp_path: Path) -> None:
    jsonl.append(questions, [{"id": "e", "question": " ", "answer": "1"}])
    result = curate(recipe(questions, max_drop_share=0.5), tmp_path / "out", teacher=ScriptedTeacher(right))
    assert result.ledger.questions.num_all == 5
    assert result.ledger.questions.bins["dropped"] == {"no reference answer": 1, "row: no question": 1}


def pictures(folder: Path, *, broken: Sequence[int], number: int = 10) -> Path:
    """Questions each with a picture; of the broken ones the file is cut behind its header."""
    path = folder / "pictures.jsonl"
    for place in range(number):
        image = Image.effect_noise((64, 64), 50 + place).convert("RGB")
        image.save(folder / f"{place}.png")
        if place in broken:
            data = (folder / f"{place}.png").read_bytes()
            (folder / f"{place}.png").write_bytes(data[: len(data) // 2])
        row = {"id": f"p{place}", "question": f"What is {place} + 1?", "image": f"{place}.png", "answer": str(place + 1)}
        jsonl.append(path, [row | {"solution": "It is \\boxed{0}"}])
    return path


@pytest.mark.parametrize("decontaminated", [False, True])
def test_a_question_whose_picture_is_broken_is_an_unreadable_row(tmp_path: Path, decontaminated: bool) -> None:
    path = pictures(tmp_path, broken=[3])
    held_out = tmp_path / "held_out.jsonl"
    jsonl.append(held_out, [{"id": "x", "question": "What is seen?", "answer": "4", "image": "0.png"}])
    sections = {"decontaminate": {"against": [{"path": str(held_out)}]}} if decontaminated else {}
    teacher = ScriptedTeacher(right)
    config = recipe(path, max_drop_share=0.1, keep={"fallback": "solution"}, **sections)
    ledger = curate(config, tmp_path / "out", teacher=teacher).ledger
    dropped = ledger.questions.bins["dropped"]
    assert dropped == {"row: image cannot be opened": 1} | ({"in an evaluation set": 1} if decontaminated else {})
    assert ledger.questions.num_all == 10
    assert "p3" not in {id for id, _ in teacher.keys}
    [fate] = [fate for fate in read(tmp_path / "out" / "fates.jsonl") if fate["id"] == "p3"]
    assert "3.png: the image is damaged" in str(fate["detail"])


def test_too_many_broken_pictures_are_one_error_before_anything_is_asked(tmp_path: Path) -> None:
    teacher = ScriptedTeacher(right)
    with pytest.raises(DataError, match=r"2 of 10 rows are dropped \(20\.00%\)") as caught:
        curate(recipe(pictures(tmp_path, broken=[3, 5]), max_drop_share=0.1), tmp_path / "out", teacher=teacher)
    assert "image cannot be opened - p3" in str(caught.value)
    assert teacher.asked == []


def test_a_refused_answer_is_asked_again_once_its_line_is_removed(questions: Path, tmp_path: Path) -> None:
    refused = Failure("refused by the server (status 400)", "scripted", lasting=True, detail="no such thing")
    out = tmp_path / "out"
    first = curate(recipe(questions), out, teacher=ScriptedTeacher(lambda ask: refused if ask.example.id == "b" else right(ask)))
    assert first.ledger.finished
    assert first.ledger.samples.bins["dropped"]["refused by the server (status 400)"] == 3
    lines = (out / "samples.jsonl").read_text().splitlines(keepends=True)
    assert sum('"detail": "no such thing"' in line for line in lines) == 3
    curate(recipe(questions), out, teacher=ScriptedTeacher(lambda ask: pytest.fail("asked again")))
    (out / "samples.jsonl").write_text("".join(line for line in lines if '"failure"' not in line))
    teacher = ScriptedTeacher(right)
    again = curate(recipe(questions), out, teacher=teacher)
    assert sorted(teacher.keys) == [("b", 0), ("b", 1), ("b", 2)]
    assert again.ledger.questions.bins["kept"] == {"answers": 3}


def test_a_finished_folder_without_its_samples_stays_finished(questions: Path, tmp_path: Path) -> None:
    before = curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(right)).ledger
    (tmp_path / "out" / "samples.jsonl").unlink()
    assert curate(recipe(questions), tmp_path / "out", teacher=ScriptedTeacher(lambda ask: pytest.fail("asked"))).ledger == before


def test_ids_of_any_kind_are_kept_apart_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    ids = ["a/b", "a", "a/0", "../x", "x" * 600, "l\u2028s", "line\n", "\ud83d", 7]
    jsonl.append(path, [{"id": id, "question": f"What is {place}?", "answer": str(place)} for place, id in enumerate(ids)])
    teacher = ScriptedTeacher(right)
    result = curate(recipe(path, num_samples=1), tmp_path / "out", teacher=teacher)
    assert result.ledger.questions.bins["kept"] == {"answers": 9}
    kept = SourceConfig(path=str(result.train_path))
    rows, _ = build([kept], data=DataConfig(train=[kept]), base_dir=None)
    assert [row.id for row in rows] == [f"{id}/0" for id in ids]
    assert [row.answer for row in rows] == [str(place) for place in range(9)]


def test_text_is_data(questions: Path, tmp_path: Path) -> None:
    odd = 'A "quote", {braces}, \x00, \u2028, \ud83d and <image> \\boxed{2}\r\n'
    teacher = ScriptedTeacher(lambda ask: odd)
    curate(recipe(questions, filters={"correct": False}), tmp_path / "out", teacher=teacher)
    assert [row["solution"] for row in read(tmp_path / "out" / "train.jsonl")] == [odd] * 4  # one of each question: equal ones are dropped


@pytest.mark.train
def test_the_shipped_model_gives_the_same_answers_in_any_company(tmp_path: Path) -> None:
    config = {
        "data": [{"task": "card_sums", "num_examples": 4}, {"task": "counting", "num_examples": 4}],
        "num_samples": 2,
        "generation": {"max_completion_length": 48, "max_concurrent": 16},
        "filters": {"correct": False, "duplicates": "keep", "truncated": False},
    }
    curate(CurateConfig.model_validate(config), tmp_path / "together")
    alone = {**config, "generation": {"max_completion_length": 48, "max_concurrent": 3}}
    curate(CurateConfig.model_validate(alone), tmp_path / "alone")
    one, other = (read(tmp_path / name / "samples.jsonl") for name in ("together", "alone"))
    assert len(one) == 16
    assert sorted(map(json.dumps, one)) == sorted(map(json.dumps, other))
