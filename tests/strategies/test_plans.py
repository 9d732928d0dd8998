"""Which stages a strategy has, in which order, from which models, and what each takes from earlier ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.strategies.conftest import TEST, VALIDATION
from vlmpost.config.combine import STRATEGIES, CombineConfig
from vlmpost.config.curate import CurateConfig
from vlmpost.config.schema import RlConfig, SftConfig
from vlmpost.errors import ConfigError
from vlmpost.strategies import Plan, plan
from vlmpost.strategies.stages import EvaluateStage, LengthsStage, MergeStage, MixStage, Reference, SelectStage, Stage

FOLDER = Path("/runs/one")
STAGES = "/runs/one/stages"
Make = Callable[..., CombineConfig]


def order(found: Plan) -> list[tuple[str, str]]:
    return [(stage.name, stage.kind) for stage in found.stages]


def fills(stage: Stage) -> dict[str, tuple[str, str, str]]:
    return {".".join(fill.key): (fill.value.stage, fill.value.file, fill.value.key) for fill in stage.fills}


def test_two_stage_is_sft_and_then_rl_from_its_last_model(combine_config: Make) -> None:
    found = plan(combine_config("two_stage"), FOLDER)
    assert order(found) == [("01_sft", "sft"), ("02_rl", "rl")]
    sft, rl = found.stages
    assert isinstance(sft.config, SftConfig)
    assert isinstance(rl.config, RlConfig)
    assert sft.config.model.path == "nano"
    assert sft.config.checkpoints.save_total_limit == 2
    assert rl.config.model.path == f"{STAGES}/01_sft/final"
    assert rl.config.model.device == "cpu"
    assert rl.config.guidance is None
    assert rl.needs == ("01_sft",)
    assert rl.fills == ()
    assert found.final == f"{STAGES}/02_rl/final"


def test_two_stage_from_the_best_checkpoint_takes_what_select_chose(combine_config: Make) -> None:
    found = plan(combine_config("two_stage", two_stage={"start": "best"}, select=VALIDATION), FOLDER)
    assert order(found) == [("01_sft", "sft"), ("02_select_sft", "select"), ("03_rl", "rl")]
    sft, select, rl = found.stages
    assert isinstance(sft.config, SftConfig)
    assert isinstance(select.config, SelectStage)
    assert sft.config.checkpoints.save_total_limit is None
    assert select.config.run == f"{STAGES}/01_sft"
    assert select.config.questions.data[0].split == "validation"
    assert select.needs == ("01_sft",)
    assert fills(rl) == {"model.path": ("02_select_sft", "choice.json", "path")}
    assert rl.needs == ("02_select_sft",)


def test_two_stage_from_every_checkpoint_keeps_the_best_rl_model(combine_config: Make) -> None:
    # max_steps 4, save_steps 2: checkpoints at 2 and 4.
    found = plan(combine_config("two_stage", two_stage={"start": "all"}, select=VALIDATION), FOLDER)
    assert [name for name, _ in order(found)] == ["01_sft", "02_rl_step_000002", "03_rl_step_000004", "04_select_rl"]
    starts = [stage.config.model.path for stage in found.stages[1:3]]  # type: ignore[union-attr]
    assert starts == [f"{STAGES}/01_sft/checkpoints/step_000002", f"{STAGES}/01_sft/checkpoints/step_000004"]
    assert found.stages[3].config.candidates == {  # type: ignore[union-attr]
        "rl_step_000002": f"{STAGES}/02_rl_step_000002/final",
        "rl_step_000004": f"{STAGES}/03_rl_step_000004/final",
    }
    assert found.stages[3].needs == ("02_rl_step_000002", "03_rl_step_000004")
    assert found.final == Reference("04_select_rl", "choice.json", "path")


def test_two_stage_from_one_step_needs_no_choice(combine_config: Make) -> None:
    found = plan(combine_config("two_stage", two_stage={"start": [2]}), FOLDER)
    assert [name for name, _ in order(found)] == ["01_sft", "02_rl"]
    assert found.stages[1].config.model.path == f"{STAGES}/01_sft/checkpoints/step_000002"  # type: ignore[union-attr]


def test_a_step_without_a_checkpoint_is_refused_with_those_there_are(combine_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"no checkpoint at step 3; its checkpoints are at 2, 4 \(sft.checkpoints.save_steps\)"):
        plan(combine_config("two_stage", two_stage={"start": [3]}), FOLDER)


def test_steps_of_sft_by_epochs_are_counted_with_the_last_one(combine_config: Make) -> None:
    # 20 examples, 8 a step: 3 steps an epoch, 6 in two; saved every 4: at 4 and at the end.
    sft = {
        "data": {"train": [{"task": "counting", "num_examples": 20}]},
        "training": {"examples_per_step": 8, "num_train_epochs": 2},
        "checkpoints": {"save_steps": 4},
    }
    found = plan(combine_config("two_stage", sft=sft, two_stage={"start": "all"}, select=VALIDATION), FOLDER)
    assert [name for name, _ in order(found)] == ["01_sft", "02_rl_step_000004", "03_rl_step_000006", "04_select_rl"]


def test_the_budget_is_measured_on_the_model_that_rl_starts_from(combine_config: Make) -> None:
    asked = {"start": "best", "measure_length": {"num_examples": 3, "quantile": 0.9}}
    found = plan(combine_config("two_stage", two_stage=asked, select=VALIDATION), FOLDER)
    assert [name for name, _ in order(found)] == ["01_sft", "02_select_sft", "03_lengths", "04_rl"]
    lengths, rl = found.stages[2:]
    assert isinstance(lengths.config, LengthsStage)
    assert lengths.config.measure.quantile == 0.9
    assert fills(lengths) == {"model.path": ("02_select_sft", "choice.json", "path")}
    assert fills(rl) == {
        "model.path": ("02_select_sft", "choice.json", "path"),
        "generation.max_completion_length": ("03_lengths", "lengths.json", "max_completion_length"),
    }
    assert rl.needs == ("02_select_sft", "03_lengths")


def test_an_sft_model_that_is_there_is_not_trained_again(combine_config: Make) -> None:
    found = plan(combine_config("two_stage", sft=None, two_stage={"sft_model": "/models/sft"}), FOLDER)
    assert order(found) == [("01_rl", "rl")]
    assert found.stages[0].config.model.path == "/models/sft"  # type: ignore[union-attr]
    assert found.stages[0].needs == ()


def test_progressive_measures_pass_rates_of_rls_questions_and_reads_them(combine_config: Make) -> None:
    found = plan(combine_config("progressive", sft=None, pass_rates={"num_samples": 3, "seed": 5}), FOLDER)
    assert order(found) == [("01_pass_rates", "pass_rates"), ("02_rl", "rl")]
    rates, rl = found.stages
    assert isinstance(rates.config, CurateConfig)
    assert isinstance(rl.config, RlConfig)
    assert (rates.config.num_samples, rates.config.seed) == (3, 5)
    assert rates.config.data == rl.config.data.train
    assert rates.config.generation.max_completion_length == 8  # RL's
    assert rates.config.model.path == rl.config.model.path == "nano"
    guidance = rl.config.guidance
    assert guidance is not None
    assert (guidance.preset, guidance.pass_rate.source) == ("progressive", "table")
    assert guidance.pass_rate.path == f"{STAGES}/01_pass_rates/curated/pass_rates.jsonl"
    assert rl.needs == ("01_pass_rates",)


def test_data_mix_keeps_rl_answers_and_long_ones_where_rl_has_none(combine_config: Make) -> None:
    config = combine_config("data_mix", data_mix={"num_samples": 6, "long_cot_per_question": 2})
    found = plan(config, FOLDER)
    kinds = [("01_sft", "sft"), ("02_rl", "rl"), ("03_rl_answers", "curate"), ("04_long_cot", "curate")]
    assert order(found) == [*kinds, ("05_mixture", "mix"), ("06_mixed", "sft")]
    _, _, short, long, mixture, mixed = found.stages
    assert isinstance(short.config, CurateConfig)
    assert isinstance(long.config, CurateConfig)
    assert isinstance(mixture.config, MixStage)
    assert isinstance(mixed.config, SftConfig)
    assert short.config.model.path == f"{STAGES}/02_rl/final"
    assert (short.config.num_samples, short.config.keep.num, short.config.filters.duplicates) == (6, None, "keep")
    assert short.config.questions.pass_rates is None
    assert long.config.model.path == f"{STAGES}/01_sft/final"
    assert long.config.questions.pass_rates == f"{STAGES}/03_rl_answers/curated/pass_rates.jsonl"
    assert long.config.questions.max_pass_rate == 0
    assert (long.config.keep.num, long.config.keep.fallback) == (2, "solution")
    assert long.needs == ("01_sft", "03_rl_answers")
    sets = [f"{STAGES}/03_rl_answers/curated/train.jsonl", f"{STAGES}/04_long_cot/curated/train.jsonl"]
    assert mixture.config.sets == sets
    assert fills(mixed) == {"data.train": ("05_mixture", "mixture.json", "train")}
    assert mixed.config.model.path == "nano"  # the study: one more SFT round, from the base
    assert (mixed.config.training.num_train_epochs, mixed.config.training.max_steps) == (2, None)
    assert mixed.config.training.learning_rate == 1e-3
    assert found.final == f"{STAGES}/06_mixed/final"


@pytest.mark.parametrize(("start", "path"), [("sft", f"{STAGES}/01_sft/final"), ("rl", f"{STAGES}/02_rl/final")])
def test_the_mixture_can_be_trained_from_another_model(combine_config: Make, start: str, path: str) -> None:
    mixed = plan(combine_config("data_mix", data_mix={"start": start}), FOLDER).stages[-1]
    assert mixed.config.model.path == path  # type: ignore[union-attr]
    assert mixed.needs == (path.split("/")[4], "05_mixture")


def test_merge_mixes_rl_first_so_that_a_ratio_is_the_weight_of_sft(combine_config: Make) -> None:
    wanted = {"methods": ["linear", "ties"], "ratios": [0.0, 0.25], "densities": [0.5]}
    found = plan(combine_config("merge", merge=wanted, select=VALIDATION), FOLDER)
    assert order(found) == [("01_sft", "sft"), ("02_rl", "rl"), ("03_merge", "merge")]
    merge = found.stages[2]
    assert isinstance(merge.config, MergeStage)
    assert merge.config.models == [f"{STAGES}/02_rl/final", f"{STAGES}/01_sft/final"]
    assert (merge.config.base, merge.config.densities) == ("nano", [0.5])
    assert merge.needs == ("01_sft", "02_rl")
    assert found.final == Reference("03_merge", "choice.json", "path")


def test_densities_stay_away_from_methods_that_have_none(combine_config: Make) -> None:
    found = plan(combine_config("merge", merge={"methods": ["linear", "slerp"]}, select=VALIDATION), FOLDER)
    assert found.stages[2].config.densities == []  # type: ignore[union-attr]


def test_models_that_are_there_are_merged_without_training(combine_config: Make) -> None:
    wanted = {"sft_model": "/models/sft", "rl_model": "/models/rl"}
    found = plan(combine_config("merge", sft=None, rl=None, merge=wanted, select=VALIDATION), FOLDER)
    assert order(found) == [("01_merge", "merge")]
    assert found.stages[0].config.models == ["/models/rl", "/models/sft"]  # type: ignore[union-attr]


def test_evaluation_measures_levels_apart_then_the_base_and_each_model(combine_config: Make) -> None:
    found = plan(combine_config("two_stage", evaluation={**TEST, "instruction": "Think."}), FOLDER)
    names = ["03_levels", "04_evaluate_base", "05_evaluate_sft", "06_evaluate_rl"]
    assert [stage.name for stage in found.stages[2:]] == names
    configs = [stage.config for stage in found.stages[2:]]
    assert all(isinstance(config, EvaluateStage) for config in configs)
    levels, base, sft, rl = (config for config in configs if isinstance(config, EvaluateStage))
    assert (levels.writes_levels, levels.questions.num_samples, levels.questions.seed) == (True, 5, 0)
    assert (base.questions.num_samples, base.questions.seed) == (1, 1)
    # The base is asked without the instruction, as the study asks it.
    assert [one.questions.instruction for one in (levels, base, sft, rl)] == [None, None, "Think.", "Think."]
    assert [one.levels for one in (levels, base, sft, rl)] == [None, *[f"{STAGES}/03_levels/levels.jsonl"] * 3]
    assert [one.model.path for one in (base, sft, rl)] == ["nano", f"{STAGES}/01_sft/final", f"{STAGES}/02_rl/final"]
    assert found.stages[4].needs == ("01_sft", "03_levels")


def test_every_strategy_plans_and_every_stage_needs_earlier_ones_only(combine_config: Make) -> None:
    sections = {"two_stage": {}, "data_mix": {}, "merge": {"select": VALIDATION}}
    assert len(STRATEGIES) == 23
    for strategy in STRATEGIES:
        more = sections.get(strategy, {"sft": None})
        found = plan(combine_config(strategy, **more), FOLDER)
        done: set[str] = set()
        for stage in found.stages:
            assert done.issuperset(stage.needs), (strategy, stage.name)
            done.add(stage.name)


def test_a_guided_strategy_is_its_preset_under_its_name(combine_config: Make) -> None:
    found = plan(combine_config("luffy", sft=None, rl={**_rl_without_group(), "guidance": {"gate": {"delay_steps": 3}}}), FOLDER)
    config = found.stages[0].config
    assert isinstance(config, RlConfig)
    assert config.guidance is not None
    assert (config.guidance.preset, config.guidance.traces.rows, config.guidance.gate.delay_steps) == ("luffy", "beside", 3)
    assert config.algorithm.num_generations == 7  # 7 rollouts and the trace


def _rl_without_group() -> dict[str, object]:
    from tests.strategies.conftest import RL

    return {name: section for name, section in RL.items() if name != "algorithm"}
