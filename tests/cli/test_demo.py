"""The demo's plan, how a second call goes on, and the whole demo in small."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmpost.cli.demo import demo, unfinished
from vlmpost.cli.demo_plan import METHODS, Method, Size, plan
from vlmpost.cli.lanes import Step
from vlmpost.cli.prepare import prepare
from vlmpost.cli.recipes import recipes_dir
from vlmpost.config.schema import RlConfig
from vlmpost.errors import RunError

SMALL = Size(num_examples=100, num_samples=4, max_steps=None)
PROGRESSIVE = tuple(method for method in METHODS if method.name == "progressive")


def steps_of(methods: tuple[Method, ...] = METHODS, *, folder: Path = Path("d"), seeds: range = range(42, 45)) -> dict[str, Step]:
    steps = plan(folder, methods, recipes=recipes_dir() / "demo", size=SMALL, seeds=seeds)
    return {step.name: step for step in steps}


def value_of(step: Step, option: str) -> str:
    return step.arguments[step.arguments.index(option) + 1]


def settings_of(step: Step) -> list[str]:
    return [after for word, after in zip(step.arguments, step.arguments[1:], strict=False) if word == "--set"]


def test_the_short_demo_is_progressive_training_between_two_measurements() -> None:
    steps = steps_of(PROGRESSIVE, seeds=range(42, 43))
    assert list(steps) == ["progressive", "levels", "eval_base", "eval_progressive"]
    assert steps["progressive"].arguments[0] == "combine"
    assert value_of(steps["progressive"], "--strategy") == "progressive"
    assert steps["eval_progressive"].needs == ("progressive",)


def test_all_is_sft_rl_and_five_combinations_with_three_seeds_for_three_of_them() -> None:
    steps = steps_of()
    trained = [name for name, step in steps.items() if step.arguments[0] != "eval"]
    assert len(trained) == 7 + 3 * 2
    assert [name for name in trained if "seed" not in name] == [
        "sft",
        "rl",
        "two_stage",
        "interleaved",
        "progressive",
        "data_mixing",
        "merging",
    ]
    assert [name for name in trained if name.endswith("_seed44")] == ["sft_seed44", "rl_seed44", "progressive_seed44"]
    assert settings_of(steps["progressive_seed44"])[0] == "rl.training.seed=44"
    assert settings_of(steps["sft_seed43"]) == ["training.seed=43"]


def test_combinations_begin_with_the_demo_s_own_models() -> None:
    steps = steps_of()
    assert steps["merging"].needs == ("sft", "rl")
    assert settings_of(steps["merging"]) == [
        "sft=null",
        "rl=null",
        "merge.sft_model=d/sft/final",
        "merge.rl_model=d/rl/final",
        "evaluation=null",
    ]


def test_every_model_is_measured_on_questions_that_no_model_was_trained_on_nor_chosen_by() -> None:
    measured = [step for step in steps_of().values() if step.arguments[0] == "eval"]
    assert len(measured) == 1 + 1 + 13
    assert {(value_of(step, "--split"), value_of(step, "--data-seed")) for step in measured} == {("test", "1")}
    for name in ("two_stage", "interleaved", "progressive", "data_mix", "merge"):
        text = (recipes_dir() / "demo" / f"{name}.yaml").read_text()
        before, _, evaluation = text.partition("\nevaluation:")
        assert "split: test" not in before, name
        assert evaluation.count("split: test, seed: 1") == 4, name


def test_levels_and_accuracy_come_from_different_answers() -> None:
    steps = steps_of()
    assert {name: value_of(steps[name], "--seed") for name in ("levels", "eval_base", "eval_merging")} == {
        "levels": "0",
        "eval_base": "1",
        "eval_merging": "1",
    }
    assert value_of(steps["levels"], "--num-samples") == "16"


def test_every_combination_has_as_many_rollouts_as_rl_alone() -> None:
    from vlmpost.config.batch import plan_rl
    from vlmpost.config.load import load

    def num_batches(config: RlConfig) -> int:
        batch = plan_rl(config.training, config.algorithm, world_size=1, guidance=config.guidance)
        assert config.training.max_steps is not None
        return config.training.max_steps // batch.cycle_steps

    recipes = recipes_dir() / "demo"
    alone = prepare("rl", recipes / "rl.yaml", ()).config
    for name in ("two_stage", "interleaved", "progressive", "data_mix", "merge"):
        together = load("combine", recipes / f"{name}.yaml").config.rl
        assert together is not None, name
        assert num_batches(together) == num_batches(alone) == 80, name
        assert together.training.prompts_per_step == alone.training.prompts_per_step, name
        assert together.algorithm.num_generations == alone.algorithm.num_generations, name
        assert together.generation == alone.generation, name
        assert together.data.train == alone.data.train, name


def test_finished_commands_are_not_run_again_and_begun_ones_go_on(tmp_path: Path) -> None:
    steps = list(steps_of(PROGRESSIVE, folder=tmp_path, seeds=range(42, 44)).values())
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "progressive").touch()
    (tmp_path / "progressive_seed43").mkdir()
    (tmp_path / "progressive_seed43" / "manifest.json").touch()
    left = {step.name: step for step in unfinished(tmp_path, steps)}
    assert "progressive" not in left
    assert left["progressive_seed43"].arguments[-1] == "--resume"
    assert left["eval_progressive"].needs == ()
    assert left["eval_progressive_seed43"].needs == ("progressive_seed43",)
    assert "--resume" not in left["levels"].arguments


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no demo is in it"):
        demo(run_dir=tmp_path, num_examples=1, num_samples=1, num_seeds=1, max_steps=1, everything=False)


def test_a_demo_of_other_settings_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"levels": ["eval", "other"]}')
    with pytest.raises(RunError, match=r"other settings \(eval_base, eval_progressive, levels, progressive\)"):
        demo(run_dir=tmp_path, num_examples=1, num_samples=1, num_seeds=1, max_steps=1, everything=False)


@pytest.mark.train
def test_demo_in_small_ends_with_a_table_and_a_report_and_is_not_done_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    demo(run_dir=folder, num_examples=2, num_samples=1, num_seeds=1, max_steps=1, everything=False)
    out = capsys.readouterr().out
    assert f"report {folder / 'report.html'}" in out
    assert "progressive: " in out
    for name in ("eval_base", "eval_progressive"):
        assert len((folder / name / "predictions.jsonl").read_text().splitlines()) == 4 * 2
    assert len((folder / "levels.jsonl").read_text().splitlines()) == 4 * 2
    assert (folder / "progressive" / "final" / "config.json").is_file()
    demo(run_dir=folder, num_examples=2, num_samples=1, num_seeds=1, max_steps=1, everything=False)
    again = capsys.readouterr().out
    assert "4 commands, 4 of them done" in again
    assert "vlmpost eval" not in again
    assert "gain" in again


@pytest.mark.train
@pytest.mark.slow
def test_the_whole_demo_in_small_has_a_row_for_each_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    demo(run_dir=folder, num_examples=2, num_samples=1, num_seeds=2, max_steps=1, everything=True)
    out = capsys.readouterr().out
    for method in METHODS:
        assert f"\n  {method.name}" in out, method.name
        assert f"  {method.name}: " in out, method.name
    assert "over training seeds" in out
    assert "on validation questions here" in out, "the sweep of merges is read"
