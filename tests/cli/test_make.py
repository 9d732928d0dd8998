"""`vlmpost make data`: samples of a task on disk, verified, in three layouts, read back as what they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from vlmpost import tasks
from vlmpost.cli.make import app
from vlmpost.config.schema import SourceConfig
from vlmpost.data import collect
from vlmpost.data.write import LAYOUTS, Layout
from vlmpost.errors import ConfigError, DataError, RunError
from vlmpost.records import Example

TOYS = Path(__file__).parents[1] / "tasks" / "climbing.py"
CLIMBING = f"{TOYS}:Climbing"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *(str(argument) for argument in arguments)])


def made(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exception is None, result.exception
    return result.stdout


def refused(*arguments: object) -> str:
    error = run(*arguments).exception
    assert isinstance(error, ConfigError | DataError | RunError), error
    return str(error)


def read(folder: str, split: str = "train") -> list[Example]:
    found, ledger = collect([SourceConfig(path=folder, split=split)], base_dir=None)
    assert (ledger.drops, ledger.notes) == ([], [])
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pictures", ["true", "false"])
def test_revision_trajectories_of_several_states_read_back_and_verify_in_every_layout(layout: Layout, pictures: str) -> None:
    settings = ("--set", f"pictures={pictures}", "--revisions", "0.5", "--verify-iterations", "3", "--style", "mixed")
    text = made(CLIMBING, "out", "--n", 12, "--format", layout, "--split", "validation", "--seed", 4, *settings)
    found = read("out", "validation")
    task = tasks.find(CLIMBING)
    assert [example.task for example in found] == [CLIMBING] * 12
    assert [len(example.images) for example in found] == [1 if pictures == "true" else 0] * 12
    lengths = [len(example.prompt) for example in found]
    assert set(lengths) == {1, 3, 5}
    assert f"{sum(length > 1 for length in lengths)} of them are revision trajectories" in text
    for example in found:
        assert example.solution is not None
        assert task.verify(example, example.solution).correct
        assert example.num_image_slots == len(example.images) == example.prompt[0].num_images
        assert [message.role for message in example.prompt] == ["user", *["assistant", "user"] * (len(example.prompt) // 2)]
        assert all(not task.verify(example, message.text).correct for message in example.prompt if message.role == "assistant")


def test_all_layouts_hold_the_same_examples() -> None:
    for layout in LAYOUTS:
        made(CLIMBING, layout, "--n", 7, "--format", layout, "--revisions", 0.5, "--set", "pictures=true")
    first, *others = [
        [(example.id, example.prompt, example.solution, {**example.meta, "row": None}) for example in read(layout)] for layout in LAYOUTS
    ]
    assert others == [first, first]


def test_llava_rows_are_turns_of_human_and_gpt_with_a_marker_and_a_path() -> None:
    made(CLIMBING, "out", "--n", 1, "--format", "llava", "--set", "pictures=true")
    [row] = json.loads(Path("out/train.json").read_text())
    step = row["meta"]["step"]
    assert row["conversations"] == [{"from": "human", "value": f"<image>\nYou are at {step}."}, {"from": "gpt", "value": f"{step + 1}"}]
    assert Path("out", row["image"]).is_file()


def test_trl_rows_have_a_conversational_prompt_and_completion() -> None:
    made(CLIMBING, "out", "--n", 1, "--format", "trl", "--set", "pictures=true")
    [line] = Path("out/train.jsonl").read_text().splitlines()
    row: dict[str, Any] = json.loads(line)
    step = row["meta"]["step"]
    content = [{"type": "image"}, {"type": "text", "text": f"You are at {step}."}]
    assert row["prompt"] == [{"role": "user", "content": content}]
    assert row["completion"] == [{"role": "assistant", "content": [{"type": "text", "text": f"{step + 1}"}]}]
    assert [Path("out", path).is_file() for path in row["images"]] == [True]


def test_the_same_command_gives_the_same_bytes() -> None:
    for folder in ("a", "b"):
        made("counting", folder, "--num-examples", 6, "--revisions", 0.5, "--style", "mixed")
    files = [{path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()} for folder in ("a", "b")]
    assert files[0].pop("README.md")
    files[1].pop("README.md")
    assert len(files[0]) == 7
    assert files[0] == files[1]


def test_the_folder_may_be_left_out_or_given_as_an_option() -> None:
    assert "data/counting-test-jsonl/test.jsonl" in made("counting", "--n", 2, "--split", "test")
    assert "there/train.jsonl" in made("counting", "-n", 2, "--output", "there")
    assert "given twice" in refused("counting", "here", "--output", "there", "--n", 2)
    assert "there exists already" in refused("counting", "there", "--n", 2)


def test_the_card_says_how_the_folder_was_made() -> None:
    made("counting", "out", "--n", 2, "--difficulties", "1,2", "--shift", "none")
    card = Path("out/README.md").read_text()
    made_of = json.loads(card.split("```json\n")[1].split("```")[0])
    assert made_of["source"] == {"task": "counting", "num_examples": 2, "difficulties": [1, 2]}
    assert made_of["samples"] == {"style": None, "revision_share": 0.0, "max_attempts": 3, "seed": 0}


def test_diverse_prompts_are_an_option_of_the_task() -> None:
    made(CLIMBING, "out", "--n", 1, "--diverse-prompts")
    assert '"prompt_style": "varied"' in Path("out/README.md").read_text()
    assert "no option takes the value varied" in refused("counting", "no", "--n", 1, "--diverse-prompts")
    assert "prompt_style: chosen already" in refused(CLIMBING, "no", "--n", 1, "--diverse-prompts", "--set", "prompt_style=plain")


def test_diverse_prompts_vary_the_face_rule_too_unless_the_shift_is_about_it() -> None:
    for shift, style, rule in (("none", "varied", "varied"), ("rule", "varied", "rank")):
        made("general_points", shift, "--n", 1, "--diverse-prompts", "--set", "mode=text", "--shift", shift)
        options = json.loads(Path(shift, "README.md").read_text().split("```json\n")[1].split("```")[0])["options"]
        assert (options["prompt_style"], options["face_rule"]) == (style, rule)


def test_a_shift_changes_the_options() -> None:
    # Flights of three steps in distribution, of five by the other rule.
    for shift, height in (("none", 3), ("rule", 5)):
        made(CLIMBING, shift, "--n", 1, "--shift", shift)
        [example] = read(shift)
        assert int(str(example.meta["top"])) - int(str(example.meta["first"])) == height


def test_a_solution_that_does_not_verify_leaves_nothing() -> None:
    assert "does not verify" in refused(f"{TOYS}:Boasting", "out", "--n", 2)
    assert "has no difficulties" in refused(CLIMBING, "out", "--n", 2, "--difficulties", "1")
    assert "add --revisions" in refused(CLIMBING, "out", "--n", 2, "--verify-iterations", "2")
    assert list(Path().iterdir()) == []


def test_a_task_without_solutions_is_written_for_rl_and_said() -> None:
    Path("parity.py").write_text(
        "from vlmpost.tasks import Task\nfrom vlmpost.tasks.problem import Problem\n\n\n"
        "class Parity(Task):\n    name = 'parity'\n\n    def pose(self, rng, *, options, difficulty):\n"
        "        return Problem(prompt=('Odd or even?',), content={'number': rng.randrange(1000)}, answer='even')\n"
    )
    assert "2 of them have no solution" in made("parity.py:Parity", "out", "--n", 2)
    assert [(example.answer, example.solution) for example in read("out")] == [("even", None)] * 2
    assert "has no reasoned solutions" in refused("parity.py:Parity", "no", "--n", 2, "--style", "reasoned")


def test_material_of_ones_own_is_posed_on(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "photos").mkdir()
    for number in range(30):
        Image.radial_gradient("L").rotate(number * 7).convert("RGB").save(tmp_path / "photos" / f"{number}.png")
    made("image_jigsaw", "out", "--n", 5, "--path", "photos", "--set", "rows=2", "--set", "cols=2", "--style", "answer")
    found = read("out")
    assert [len(example.images) for example in found] == [4] * 5
    task = tasks.find("image_jigsaw")
    assert all(task.verify(example, str(example.solution)).correct for example in found)
    assert "draws its own pictures" in refused("counting", "no", "--n", 2, "--path", "photos")
    (tmp_path / "few").mkdir()
    for shade in range(20):
        Image.new("L", (9, 9), shade).save(tmp_path / "few" / f"{shade}.png")
    assert "picture too small" in refused("image_jigsaw", "no", "--n", 2, "--path", "few")
    assert not (tmp_path / "no").exists()
