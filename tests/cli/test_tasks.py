"""`vlmpost tasks`: what there is, one problem with replies to it, stored replies in bulk."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vlmpost import tasks
from vlmpost.cli.tasks import app
from vlmpost.errors import ConfigError, DataError, RunError

TOYS = Path(__file__).parents[1] / "tasks" / "climbing.py"
CLIMBING = f"{TOYS}:Climbing"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def printed(*arguments: object, stdin: bytes | None = None) -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exception is None, result.exception
    return result.stdout


def shown(*arguments: object, stdin: bytes | None = None) -> dict[str, Any]:
    found = json.loads(printed("show", *arguments, "--json", stdin=stdin))
    assert isinstance(found, dict)
    return found


def refused(*arguments: object) -> str:
    error = run(*arguments).exception
    assert isinstance(error, ConfigError | DataError | RunError), error
    return str(error)


# --- ls ---


def test_every_task_is_listed_with_what_it_says_of_itself() -> None:
    listed = {row["name"]: row for row in json.loads(printed("ls", "--json"))}
    assert sorted(listed) == sorted(tasks.names())
    assert listed["counting"]["difficulties"] == [1, 2, 3, 4, 5]
    assert listed["counting"]["rewards"] == ["paper"]
    assert "none" in listed["counting"]["shifts"]
    assert all(row["meaning"] and not row["meaning"].endswith(".") for row in listed.values())
    assert all(line.split("\t")[0] in listed for line in printed("ls").splitlines())


def test_listing_and_showing_a_text_task_import_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from vlmpost.cli.app import app\n"
        f"for words in (['tasks', 'ls'], ['tasks', 'show', {CLIMBING!r}, '--reply', '5']):\n"
        "    result = CliRunner().invoke(app, words); assert result.exit_code == 0, result.output\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# --- show ---


def test_a_problem_is_shown_with_options_prompt_pictures_and_solutions() -> None:
    found = shown(CLIMBING, "--seed", 3, "--index", 2, "--set", "pictures=true", "--shift", "rule")
    example = tasks.make(CLIMBING, split="train", index=2, seed=3, options={"pictures": True}, shift="rule")
    assert found["id"] == example.id
    assert found["prompt"] == f"<image>\nYou are at {example.meta['step']}."
    assert {option["name"]: (option["default"], option["value"]) for option in found["options"]} == {
        "height": (3, 5),
        "pictures": (False, True),
        "prompt_style": ("plain", "plain"),
    }
    step = int(str(example.meta["step"]))
    assert found["solutions"] == {"answer": f"{step + 1}", "reasoned": f" {step + 1} "}
    [path] = found["images"]
    assert Path(path).read_bytes() == example.images[0].data
    assert found["image_hashes"] == [hashlib.sha256(Path(path).read_bytes()).hexdigest()]
    text = printed("show", CLIMBING, "--seed", 3, "--index", 2, "--set", "pictures=true", "--shift", "rule")
    for said in ("Stairs to be climbed", "How many steps there are", found["prompt"], path, f"Solution (answer):\n{step + 1}\n"):
        assert said in text


def test_pictures_go_to_the_file_or_folder_that_is_named() -> None:
    assert shown(CLIMBING, "--set", "pictures=true", "--image-to", "stairs.png")["images"] == ["stairs.png"]
    [path] = shown(CLIMBING, "--set", "pictures=true", "--image-to", "a/b")["images"]
    assert Path(path).parent == Path("a/b")
    assert Path(path).read_bytes() == Path("stairs.png").read_bytes()
    assert "holds something else" in refused("show", CLIMBING, "--set", "pictures=true", "--index", 1, "--image-to", "stairs.png")
    assert "PNG" in refused("show", CLIMBING, "--set", "pictures=true", "--image-to", "stairs.jpg")
    assert shown(CLIMBING)["images"] == []


def test_given_problems_do_not_write_over_each_others_pictures() -> None:
    paths = {shown(CLIMBING, "--row", json.dumps({"step": step, "top": 9, "pictures": True}))["images"][0] for step in (1, 2)}
    assert len(paths) == 2
    assert all(Path(path).is_file() for path in paths)


def test_replies_are_verified_one_after_another() -> None:
    row = {"step": 4, "top": 5}
    found = shown(CLIMBING, "--row", json.dumps(row), "--reply", "7x", "--reply", "5")
    assert [(result["outcome"], result["reward"], result["violations"]) for result in found["results"]] == [
        ("ILLEGAL", -3.0, ["ILLEGAL"]),
        ("CORRECT_ACTION", 1.0, []),
    ]
    # The last reply's verdict stands by itself too.
    last = {key: found[key] for key in ("outcome", "reward", "violations", "terminated", "truncated")}
    assert last == {"outcome": "CORRECT_ACTION", "reward": 1.0, "violations": [], "terminated": True, "truncated": False}
    text = printed("show", CLIMBING, "--row", json.dumps(row), "--reply", "7x", "--reply", "5")
    assert "Reply 1: ILLEGAL, reward -3 (paper)\n  violations: ILLEGAL\n  extracted: 7x\n  feedback: Not 7x.\n" in text
    assert "Reply 2: CORRECT_ACTION, reward 1 (paper); the episode ends\n  recognised: yes" in text


def test_attempts_and_table_can_be_chosen() -> None:
    row = json.dumps({"step": 4, "top": 5})
    found = shown(CLIMBING, "--row", row, "--reply", "9", "--reply", "5", "--verify-iterations", 1, "--rewards", "repo")
    assert [(result["outcome"], result["reward"]) for result in found["results"]] == [("INCORRECT_ACTION", -2.0), ("STEP_LIMIT", -1.0)]
    assert (found["truncated"], found["rewards"], found["verify_iterations"]) == (True, "repo", 1)


def test_a_row_and_replies_may_come_from_files_and_stdin() -> None:
    Path("row.json").write_text('{"step": 4, "top": 5, "outputs": ["9"]}')
    Path("reply.txt").write_text("5")
    assert shown(CLIMBING, "--row", "@row.json")["outcome"] == "INCORRECT_ACTION"
    assert shown(CLIMBING, "--row", "@row.json", "--reply", "@reply.txt")["outcome"] == "CORRECT_ACTION"
    assert shown(CLIMBING, "--row", "@row.json", "--reply", "-", stdin=b"5")["outcome"] == "CORRECT_ACTION"


def test_control_characters_of_a_reply_are_written_out() -> None:
    text = printed("show", CLIMBING, "--reply", "\x1b[31m\u202e")
    assert "<001B>[31m<202E>" in text
    assert "\x1b" not in text


def test_a_long_reply_is_shown_in_short() -> None:
    # Its feedback is the reply itself.
    text = printed("show", f"{TOYS}:Chatty", "--reply", "x" * 5000)
    assert "x" * 2000 + " ... and 3000 characters more" in text
    assert "x" * 2001 not in text


def test_names_may_be_written_with_hyphens() -> None:
    assert shown("card-sums")["task"] == "card_sums"
    assert shown("jigsaw", "--row", '{"ground_truth": [2, 1]}')["task"] == "image_jigsaw"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("countin",), "Did you mean 'counting'"),
        (("counting", "--set", "hight"), "OPTION=VALUE"),
        ((CLIMBING, "--set", "hight=3"), "did you mean height"),
        ((CLIMBING, "--set", "height=3", "--set", "height=4"), "set twice"),
        ((CLIMBING, "--set", "height=[3"), "not YAML"),
        ((CLIMBING, "--shift", "visual"), "no shift 'visual'"),
        (("counting", "--difficulty", "9"), "use 1 to 5"),
        ((CLIMBING, "--difficulty", "1"), "has no difficulties"),
        (("counting", "--split", "dev"), "no split 'dev'"),
        ((CLIMBING, "--rewards", "official"), "It has: paper, repo"),
        ((CLIMBING, "--row", "{"), "--row: not JSON"),
        ((CLIMBING, "--row", "[1]"), "expected a JSON object, got list"),
        ((CLIMBING, "--row", "{}"), "expected step and top"),
        ((CLIMBING, "--row", "{}", "--seed", "1", "--shift", "rule"), "leave out --seed, --shift"),
        ((CLIMBING, "--row", '{"step": 1, "top": 2, "verify_iterations": 0}'), "verify_iterations must be"),
        ((CLIMBING, "--reply", "@gone.txt"), "gone.txt: cannot be read"),
        (("counting", "--row", '{"items": []}'), "cannot be given an instance"),
        ((f"{TOYS}:Broken", "--reply", "1"), "failed: ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused("show", *arguments)


# --- verify ---


def write_rows(rows: list[object], name: str = "in.jsonl") -> str:
    Path(name).write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return name


def read_rows(name: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(name).read_text().splitlines()]


ROWS: list[object] = [
    {"id": "a", "step": 4, "top": 6, "outputs": ["9", "5", "6"], "note": [1, {"x": None}]},
    {"id": 7, "step": 4, "top": 5, "verify_iterations": 1, "outputs": ["4", "5"]},
    {"id": "empty", "step": 1, "top": 2, "outputs": []},
]


def test_every_row_comes_back_with_its_own_fields_and_a_result_for_each_reply() -> None:
    text = printed("verify", CLIMBING, write_rows(ROWS), "--output", "out.jsonl")
    found = read_rows()
    assert [{key: value for key, value in row.items() if key != "results"} for row in found] == ROWS
    assert [
        [
            (result["outcome"], result["reward"], result["violations"], result["terminated"], result["truncated"])
            for result in row["results"]
        ]
        for row in found
    ] == [
        [
            ("INCORRECT_ACTION", -1.0, [], False, False),
            ("CORRECT_ACTION", 1.0, [], False, False),
            ("CORRECT_ACTION", 1.0, [], True, False),
        ],
        [("INCORRECT_ACTION", -1.0, [], False, False), ("STEP_LIMIT", -1.0, [], False, True)],
        [],
    ]
    # Five replies, two right. Two episodes were played, one to its end. Looked at: "9" of step 4 misread, 5, 6 and "4" read.
    assert "3 rows, 5 replies verified (rewards paper): INCORRECT_ACTION 2, CORRECT_ACTION 2, STEP_LIMIT 1" in text
    assert "right replies 2 of 5 (40.0 %); successful episodes 1 of 2 (50.0 %)" in text
    assert "recognition, apart from success: 3 of 4 (75.0 %)" in text


def test_the_summary_is_one_json_object_and_rows_go_to_stdout_without_a_file() -> None:
    write_rows(ROWS)
    summary = json.loads(printed("verify", CLIMBING, "in.jsonl", "--output", "out.jsonl", "--rewards", "repo", "--json"))
    assert (summary["num_rows"], summary["num_replies"], summary["success_share"], summary["recognition_accuracy"]) == (3, 5, 0.5, 0.75)
    assert summary["outcomes"] == {"INCORRECT_ACTION": 2, "CORRECT_ACTION": 2, "STEP_LIMIT": 1}
    assert read_rows()[0]["results"][0]["reward"] == -2.0
    lines = printed("verify", CLIMBING, "in.jsonl", "--rewards", "repo").splitlines()
    assert [json.loads(line) for line in lines] == read_rows()


def test_an_episode_that_reached_its_end_has_succeeded_whatever_is_said_after_it() -> None:
    write_rows([{"step": 4, "top": 5, "outputs": ["5", "5", "9"]}])
    summary = json.loads(printed("verify", CLIMBING, "in.jsonl", "--output", "out.jsonl", "--json"))
    assert (summary["num_episodes"], summary["success_share"], summary["outcomes"]["CORRECT_ACTION"]) == (1, 1.0, 1)


def test_made_data_with_outputs_can_be_verified() -> None:
    from vlmpost.data.write import row_of

    example = tasks.make("counting", split="train", index=0, difficulty=1)
    row = {**row_of(example, [], layout="jsonl"), "outputs": [example.solution, "no idea"]}
    printed("verify", "counting", write_rows([row]), "--output", "out.jsonl")
    [found] = read_rows()
    assert [result["correct"] for result in found["results"]] == [True, False]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "in.jsonl:2: not JSON"),
        ("[1]", "in.jsonl:2: expected a JSON object, got list"),
        ({"step": 1, "top": 2}, "in.jsonl:2: expected outputs, a list of replies, found step, top."),
        ({"other": 1, "outputs": ["1"]}, "in.jsonl:2: expected step and top, whole numbers, found other."),
        ({"step": 1, "top": 2, "outputs": ["1"], "verify_iterations": 0}, "in.jsonl:2: verify_iterations must be"),
        ('{"step": 1' + "0" * 5000 + ', "top": 2, "outputs": []}', "in.jsonl:2: holds a number"),
    ],
)
def test_a_bad_row_is_told_with_file_and_line_and_nothing_is_written(row: object, message: str) -> None:
    write_rows([ROWS[0], row, ROWS[1]])
    said = refused("verify", CLIMBING, "in.jsonl", "--output", "out.jsonl")
    assert said.startswith(message)
    assert said.endswith(" To leave such rows out: --skip-bad-rows.")
    assert sorted(path.name for path in Path().iterdir()) == ["in.jsonl"]
    text = printed("verify", CLIMBING, "in.jsonl", "--output", "out.jsonl", "--skip-bad-rows")
    assert f"left out: {message}" in text
    assert [found["id"] for found in read_rows()] == ["a", 7]


def test_a_file_without_a_row_that_can_be_verified_is_an_error() -> None:
    assert "no row could be verified. It holds none" in refused("verify", CLIMBING, write_rows([]), "--output", "out.jsonl")
    write_rows([{"step": 1}])
    assert "no row could be verified. First: in.jsonl:1:" in refused(
        "verify", CLIMBING, "in.jsonl", "--output", "out.jsonl", "--skip-bad-rows"
    )
    assert "gone.jsonl: cannot be read" in refused("verify", CLIMBING, "gone.jsonl", "--output", "out.jsonl")
    assert not Path("out.jsonl").exists()


def test_a_file_that_is_there_is_replaced_only_when_asked() -> None:
    Path("out.jsonl").write_text("mine")
    write_rows(ROWS)
    assert "--overwrite" in refused("verify", CLIMBING, "in.jsonl", "--output", "out.jsonl")
    assert Path("out.jsonl").read_text() == "mine"
    printed("verify", CLIMBING, "in.jsonl", "--output", "out.jsonl", "--overwrite")
    assert len(read_rows()) == 3


def test_a_task_that_fails_is_told_as_the_users_and_nothing_is_written() -> None:
    write_rows([{"step": 1, "top": 2, "outputs": ["x"]}])
    said = refused("verify", f"{TOYS}:Broken", "in.jsonl", "--output", "out.jsonl", "--skip-bad-rows")
    assert "failed: ZeroDivisionError: division by zero" in said
    assert "climbing.py:" in said
    assert not Path("out.jsonl").exists()


def test_half_characters_and_control_characters_come_back_as_they_were() -> None:
    Path("in.jsonl").write_text('{"step": 1, "top": 2, "outputs": ["\\ud800", "\\u0000\\u001b", {"a": 1}]}\n')
    printed("verify", CLIMBING, "in.jsonl", "--output", "out.jsonl")
    assert read_rows()[0]["outputs"] == ["\ud800", "\x00\x1b", {"a": 1}]
