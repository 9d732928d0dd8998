"""Rows of every shape become the same examples; what cannot is counted by reason."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmpost.config.schema import DataConfig, SourceConfig
from vlmpost.data import NOTE_RENAMED, Ledger, build, collect
from vlmpost.errors import ConfigError, DataError
from vlmpost.media.images import image_size
from vlmpost.records import IMAGE, Example, Message

Read = Callable[..., tuple[list[Example], Ledger]]

QUESTION = "How many dots?"
TURNS = [{"role": "user", "content": "<image>\nHow many dots?"}]
BLOCKS = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
ANSWERED = [{"role": "assistant", "content": "<think>1+1</think>2"}]
SAME_ROWS = {
    "trl prompt": {"prompt": TURNS, "completion": ANSWERED, "images": ["a.png"], "answer": "2"},
    "trl blocks": {"prompt": BLOCKS, "completion": ANSWERED, "images": ["a.png"], "answer": "2"},
    "trl messages": {"messages": [*BLOCKS, *ANSWERED], "images": ["a.png"], "answer": "2"},
    "trl null text": {"messages": [{"role": "user", "content": [{"type": "image", "text": None}, BLOCKS[0]["content"][1]]}, *ANSWERED]}
    | {"image": "a.png", "answer": "2"},
    "trl inline image": {
        "messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, BLOCKS[0]["content"][1]]}, *ANSWERED]
    }
    | {"answer": "2"},
    "llava": {
        "conversations": [{"from": "human", "value": "<image>\nHow many dots?"}, {"from": "gpt", "value": "<think>1+1</think>2"}],
        **{"image": "a.png", "answer": "2"},
    },
    "sharegpt": {"conversations": [*TURNS, *ANSWERED], "images": ["a.png"], "answer": "2"},
    "easyr1": {"problem": "<image>How many dots?", "images": ["a.png"], "answer": "2", "solution": "<think>1+1</think>2"},
    "benchmark": {"question": QUESTION, "decoded_image": {"path": "a.png", "bytes": None}, "image": "nowhere.png", "answer": 2}
    | {"options": [], "solution": "<think>1+1</think>2"},
    "capitals": {"Question": QUESTION, "Picture": "a.png", "Answer": 2, "Solution": "<think>1+1</think>2"},
    "numbered image": {"question": "<image 1>How many dots?", "image_1": "a.png", "image_2": None, "answer": "2"}
    | {"solution": "<think>1+1</think>2"},
    "ours": {"prompt": "<image>\nHow many dots?", "images": ["a.png"], "answer": "2", "answer_type": "number"}
    | {"solution": "<think>1+1</think>2"},
    "a text for a list": {"prompt": "<image>How many dots?", "images": "a.png", "answer": "2", "solution": "<think>1+1</think>2"},
}


@pytest.mark.parametrize("shape", SAME_ROWS)
def test_every_shape_gives_the_same_example(shape: str, read_rows: Read, tmp_path: Path) -> None:
    examples, ledger = read_rows([SAME_ROWS[shape]])
    assert ledger.drops == []
    assert examples[0].prompt == (Message("user", (IMAGE, QUESTION)),)
    assert [ref.path for ref in examples[0].images] == [str(tmp_path / "a.png")]
    assert (examples[0].answer, examples[0].answer_type) == ("2", "number")
    assert examples[0].solution == "<think>1+1</think>2"
    assert (examples[0].id, examples[0].task) == ("rows-1", "rows")


def test_multi_image_and_text_only_rows_mix(read_rows: Read) -> None:
    rows = [
        {"prompt": "<image> or <image>?", "images": ["a.png", "b.png"]},
        {"prompt": "No picture", "images": []},
        {"prompt": "None", "images": None},
    ]
    examples, ledger = read_rows(rows)
    assert ([len(example.images) for example in examples], ledger.num_dropped) == ([2, 0, 0], 0)


def test_turns_before_the_last_stay_in_the_prompt(read_rows: Read) -> None:
    turns = [{"from": who, "value": text} for who, text in [("human", "<image>\nHi"), ("gpt", "Yes"), ("human", "Why?"), ("gpt", "So.")]]
    examples, _ = read_rows([{"conversations": turns, "image": "a.png", "system": "Be brief."}])
    assert [message.role for message in examples[0].prompt] == ["system", "user", "assistant", "user"]
    assert examples[0].solution == "So."


def test_gsm8k_answers_are_split(read_rows: Read) -> None:
    examples, _ = read_rows([{"question": "Eggs?", "answer": "9 * 2 = <<9*2=18>>18 dollars.\n#### 18"}])
    assert (examples[0].answer, examples[0].solution) == ("18", "9 * 2 = <<9*2=18>>18 dollars.")


def test_a_benchmarks_level_is_not_ours_unless_columns_says_so(read_rows: Read) -> None:
    row = {"question": "x?", "answer": "1", "level": 3}
    assert (read_rows([row])[0][0].level, read_rows([row])[0][0].meta["level"]) == (None, 3)
    assert read_rows([row], columns={"level": "level"})[0][0].level == 3


def test_columns_override_recognition(read_rows: Read) -> None:
    row = {"question": "decoy", "text": "<image>How many?", "pic": "a.png", "gold": "4", "key": "k"}
    columns = {"problem": "text", "images": "pic", "answer": "gold", "id": "key"}
    example = read_rows([row], columns=columns)[0][0]
    assert (example.id, example.answer, example.prompt[0].content, len(example.images)) == ("k", "4", (IMAGE, "How many?"), 1)


def test_a_rename_that_names_no_column_says_what_there_is(read_rows: Read) -> None:
    with pytest.raises(DataError, match=r"columns renames txt, which rows\.jsonl:1 does not have\. Found: answer, text"):
        read_rows([{"text": "x", "answer": "1"}], columns={"prompt": "txt"})
    with pytest.raises(DataError, match="columns renames solutoin, which no row has"):
        read_rows([{"question": "x", "answer": "1"}], columns={"solution": "solutoin"})


def test_a_rename_to_an_unknown_column_offers_the_near_one(read_rows: Read) -> None:
    with pytest.raises(ConfigError, match=r"'awnser' is not a column of ours\. Did you mean 'answer'\?"):
        read_rows([{"question": "x"}], columns={"awnser": "gold"})


def test_an_unknown_shape_names_columns_and_shapes(read_rows: Read) -> None:
    with pytest.raises(DataError) as caught:
        read_rows([{"text": "x", "label": 3}])
    assert "Columns found: label, text" in str(caught.value)
    assert "conversations (LLaVA, ShareGPT)" in str(caught.value)


FAULTS = [
    ({"prompt": "<image> <image>", "images": ["a.png"]}, "markers and images differ"),
    ({"prompt": "Text says <image>"}, "markers and images differ"),
    ({"prompt": "<image>", "images": ["gone.png"]}, "image not found"),
    ({"prompt": "<image>", "images": ["../a.png"]}, "image outside the root folder"),
    ({"prompt": "<image>", "images": ["/etc/hostname"]}, "image outside the root folder"),
    ({"prompt": "<image>", "images": ["https://x.org/a.png"]}, "image is a URL"),
    ({"prompt": "<image>", "images": [7]}, "image value not understood"),
    ({"prompt": "<image>", "images": ["data:image/png;base64,AAAA"]}, "bytes are not an image"),
    ({"prompt": " "}, "no question"),
    ({"question": "?", "options": ["x", "y"], "answer": "z"}, "answer without an option"),
    ({"question": "?", "options": "x or y", "answer": "x"}, "options are not a list"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "unknown role"),
    ({"messages": [{"content": "x"}]}, "turn without a role"),
    ({"messages": [{"role": "user"}]}, "turn without content"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "unknown content block"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "no question"),
    ({"messages": []}, "unknown shape"),
    (
        {"prompt": [{"role": "user", "content": "x"}], "completion": [{"role": "user", "content": "y"}]},
        "completion is not one assistant turn",
    ),
]


@pytest.mark.parametrize(("row", "reason"), FAULTS)
def test_a_bad_row_is_dropped_with_its_reason_id_and_line(row: dict[str, object], reason: str, read_rows: Read) -> None:
    examples, ledger = read_rows([{"prompt": "fine", "id": "ok"}, row | {"id": "bad"}])
    assert [example.id for example in examples] == ["ok"]
    assert [(drop.reason, drop.id, drop.where) for drop in ledger.drops] == [(reason, "bad", "rows.jsonl:2")]


def test_a_link_that_leaves_the_root_is_refused_unless_allowed(tmp_path: Path, drawn: Callable[..., bytes], read_path: Read) -> None:
    (tmp_path / "outside.png").write_bytes(drawn())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "set" / "rows.jsonl").write_text(json.dumps({"prompt": "<image>", "images": ["link.png"]}))
    assert read_path(tmp_path / "set" / "rows.jsonl")[1].drops[0].reason == "image outside the root folder"
    assert len(read_path(tmp_path / "set" / "rows.jsonl", allow_outside_root=True)[0]) == 1


def test_image_root_is_where_paths_start(tmp_path: Path, drawn: Callable[..., bytes], read_path: Read) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(drawn())
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "<image>", "images": ["a.png"]}))
    assert read_path(tmp_path / "rows.jsonl")[1].num_dropped == 1
    assert read_path(tmp_path / "rows.jsonl", image_root=str(tmp_path / "pictures"))[1].num_kept == 1
    with pytest.raises(DataError, match=r"image_root .*there is no such folder"):
        read_path(tmp_path / "rows.jsonl", image_root=str(tmp_path / "nowhere"))


def test_a_data_uri_is_an_image(read_rows: Read, drawn: Callable[..., bytes]) -> None:
    uri = "data:image/png;base64," + base64.b64encode(drawn()).decode()
    assert read_rows([{"prompt": "<image>", "images": [uri]}])[0][0].images[0].data == drawn()


def test_the_same_row_twice_is_dropped_and_another_row_of_that_id_is_renamed(read_rows: Read) -> None:
    rows = [{"id": "q", "prompt": "one"}, {"id": "q", "prompt": "one"}, {"id": "q", "prompt": "two"}, {"id": "q", "prompt": "three"}]
    examples, ledger = read_rows([*rows, {"id": "q", "prompt": "two"}])
    assert [example.id for example in examples] == ["q", "q#2", "q#3"]
    assert [(drop.reason, drop.where) for drop in ledger.drops] == [("duplicate id", "rows.jsonl:2"), ("duplicate id", "rows.jsonl:5")]
    assert [note.id for note in ledger.notes if note.text == NOTE_RENAMED] == ["q#2", "q#3"]


def test_the_same_id_in_two_sources_is_renamed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"id": 1, "prompt": "x"}\n')
    sources = [SourceConfig(path="one.jsonl"), SourceConfig(path="one.jsonl")]
    examples, ledger = collect(sources, base_dir=tmp_path)
    assert ([example.id for example in examples], ledger.num_dropped) == (["1", "1#2"], 0)


def test_num_examples_takes_the_first_and_says_when_there_are_fewer(read_rows: Read) -> None:
    rows = [{"prompt": str(number)} for number in range(5)]
    examples, ledger = read_rows(rows, num_examples=2)
    assert ([example.prompt[0].text for example in examples], ledger.num_rows) == (["0", "1"], 2)
    _, ledger = read_rows(rows, num_examples=9)
    assert ledger.notes[-1].text == "fewer rows than num_examples (5 of 9)"


def test_dropped_share_above_the_limit_ends_with_a_table(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{number}"} for number in range(9)] + [{"prompt": "<image>", "id": "lost"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = SourceConfig(path=str(tmp_path / "rows.jsonl"))
    with pytest.raises(DataError, match=r"(?s)1 of 10 rows are dropped \(10\.00%\).*markers and images differ - lost \(rows\.jsonl:10\)"):
        build([source], data=DataConfig(train=[source], max_drop_share=0.05), base_dir=None)
    examples, _ = build([source], data=DataConfig(train=[source], max_drop_share=0.1), base_dir=None)
    assert len(examples) == 9


def test_an_empty_dataset_and_one_without_a_usable_row_are_errors(tmp_path: Path, data_config: Callable[..., DataConfig]) -> None:
    (tmp_path / "rows.jsonl").write_text("\n")
    source = SourceConfig(path=str(tmp_path / "rows.jsonl"))
    with pytest.raises(DataError, match="the dataset is empty"):
        build([source], data=data_config(), base_dir=None)
    (tmp_path / "rows.jsonl").write_text('{"prompt": "<image>"}\n')
    with pytest.raises(DataError, match="None of the 1 rows"):
        build([source], data=data_config(max_drop_share=1.0), base_dir=None)


def test_a_source_has_a_task_or_a_path_and_both_only_for_a_task_that_takes_stored_things() -> None:
    with pytest.raises(ConfigError, match="it has neither"):
        collect([SourceConfig()], base_dir=None)
    with pytest.raises(ConfigError, match="'counting' draws its own pictures"):
        collect([SourceConfig(task="counting", path="x")], base_dir=None)
    with pytest.raises(ConfigError, match="num_examples is missing"):
        collect([SourceConfig(task="counting")], base_dir=None)


def test_drawn_tasks_come_through_the_same_door() -> None:
    examples, ledger = collect([SourceConfig(task="counting", num_examples=3, difficulties=[1])], base_dir=None)
    assert (len(examples), ledger.num_kept) == (3, 3)
    assert all(len(example.images) == 1 and example.solution for example in examples)


def test_a_broken_line_names_the_file_and_line(tmp_path: Path, read_path: Read) -> None:
    (tmp_path / "rows.jsonl").write_text('{"prompt": "x"}\n{"prompt": \n')
    with pytest.raises(DataError, match=r"rows\.jsonl:2: not JSON"):
        read_path(tmp_path / "rows.jsonl")


def test_numbers_named_in_the_ledger_add_up(read_rows: Read) -> None:
    _, ledger = read_rows(
        [{"prompt": "<image>", "id": str(number)} for number in range(6)] + [{"prompt": "x", "images": ["a.png"], "answer": "1"}]
    )
    rows = list(ledger.to_rows())
    assert rows[0] == {
        **{"event": "totals", "num_rows": 7, "num_kept": 1, "num_dropped": 6},
        **{"reasons": {"markers and images differ": 6}, "notes": {"images placed first": 1}},
    }
    assert [row["event"] for row in rows[1:]] == ["dropped"] * 6 + ["noted", "kept"]
    assert ledger.summary()[0] == "1 of 7 rows kept, 6 dropped (85.7%)"
    assert ledger.summary()[1].endswith("0 images, and 3 more")


def test_a_row_with_boxes_learns_the_size_of_its_image(read_rows: Read) -> None:
    row = {"problem": "<image>Where?", "images": ["a.png"], "answer": "[1, 2, 3, 4]", "box": [1, 2, 3, 4]}
    examples, _ = read_rows([row | {"id": "a"}, row | {"id": "b", "image_size": [9, 9]}])
    opened = image_size(examples[0].images[0])
    assert [example.meta.get("image_size") for example in examples] == [list(opened), [9, 9]]


def test_a_row_with_neither_answer_nor_solution_is_kept_and_noted(read_rows: Read) -> None:
    rows = [{"prompt": "a"}, {"prompt": "b", "answer": "1"}, {"prompt": "c", "solution": "x"}]
    examples, ledger = read_rows(rows)
    assert ([note.id for note in ledger.notes], len(examples)) == (["rows-1"], 3)


def test_importing_the_room_is_light() -> None:
    code = "import vlmpost.data, sys; print([m for m in ('torch', 'datasets', 'pyarrow', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
