"""A recipe checked as far as it can be without torch: its keys, its tasks, its rewards, its batch arithmetic. All faults together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmpost.config.batch import BatchPlan, plan_rl, plan_sft
from vlmpost.config.describe import TrainingKind
from vlmpost.config.guidance import GuidanceConfig
from vlmpost.config.load import Loaded, load, message_of
from vlmpost.config.schema import RlConfig, SftConfig, SourceConfig
from vlmpost.config.yaml_text import Fault, Key, parse
from vlmpost.errors import ConfigError
from vlmpost.runs.directory import world_size


@dataclass(frozen=True)
class Prepared:
    """A recipe that is ready to run."""

    loaded: Loaded[SftConfig | RlConfig]
    batch: BatchPlan

    @property
    def config(self) -> SftConfig | RlConfig:
        """The resolved recipe."""
        return self.loaded.config


def prepare(kind: TrainingKind, recipe: Path, overrides: Sequence[str] | None) -> Prepared:
    """The recipe, checked.

    Raises:
        ConfigError: Anything is wrong; every fault is named.
    """
    loaded = load(kind, recipe, overrides or ())
    faults = faults_of(loaded.config)
    if faults:
        raise ConfigError(message_of(faults, loaded.path, lines=loaded.lines, set_keys=loaded.set_keys))
    return Prepared(loaded, batch_of(loaded.config))


def faults_of(config: SftConfig | RlConfig) -> list[Fault]:
    """What is wrong with a recipe beyond its keys: tasks, rewards, batch arithmetic."""
    faults = [*_task_faults(config), *_shift_faults(config), *_reward_faults(config)]
    try:
        batch_of(config)
    except ConfigError as error:
        key, _, message = str(error).partition(": ")
        faults.append(Fault(tuple(key.split(".")), message))
    return faults


def batch_of(config: SftConfig | RlConfig) -> BatchPlan:
    """The batch arithmetic of a recipe for this launch.

    Raises:
        ConfigError: The numbers do not divide.
    """
    if isinstance(config, RlConfig):
        return plan_rl(config.training, config.algorithm, world_size=world_size(), guidance=config.guidance)
    return plan_sft(config.training, world_size=world_size())


def kind_of(recipe: Path) -> TrainingKind:
    """Which command a recipe is for: "rl" when it has a section that only RL has. A file that cannot be read counts as "sft".

    Raises:
        ConfigError: It is for `vlmpost combine`, whose stages are several.
    """
    import yaml

    try:
        data, _, _ = parse(recipe.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "sft"  # load() says what is wrong with it
    if isinstance(data, dict) and "strategy" in data:
        raise ConfigError(f"{recipe}: a recipe of `vlmpost combine`; for its plan: vlmpost combine {recipe} --dry-run.")
    return "rl" if isinstance(data, dict) and {"algorithm", "generation", "rewards"} & set(data) else "sft"


def _task_faults(config: SftConfig | RlConfig) -> Iterator[Fault]:
    sources = [("train", index, source) for index, source in enumerate(config.data.train)]
    sources += [("eval", index, source) for index, source in enumerate(config.data.eval)]
    for part, index, source in sources:
        if source.task is not None:
            yield from _source_faults(("data", part, index), source, config)


def _source_faults(key: Key, source: SourceConfig, config: SftConfig | RlConfig) -> Iterator[Fault]:
    from vlmpost import tasks

    assert source.task is not None, "asked for a task's source"
    try:
        task = tasks.find(source.task)
    except ConfigError as error:
        yield Fault((*key, "task"), str(error))
        return
    try:
        task.options_of(source.options, shift=source.shift)
    except ConfigError as error:
        yield Fault((*key, "options"), str(error))
    if source.difficulties and not task.difficulties:
        yield Fault((*key, "difficulties"), f"task {task.name} has no difficulties; leave it out.")
    table = config.episode.rewards if isinstance(config, RlConfig) and config.episode is not None else None
    if table is not None and table not in task.reward_tables:
        message = f"task {task.name} has no reward table {table!r}; it has: {', '.join(task.reward_tables)}."
        yield Fault(("episode", "rewards"), message)


def _shift_faults(config: SftConfig | RlConfig) -> Iterator[Fault]:
    """What is wrong with the task that is played while the run trains; nothing is drawn."""
    if config.shifts is None:
        return
    from vlmpost import tasks
    from vlmpost.evaluation.shifts import shifts_of
    from vlmpost.tasks.verifying import table_of

    asked = config.shifts
    try:
        task = tasks.find(asked.task)
        for shift in shifts_of(task, asked.shifts):
            task.options_of(asked.options, shift=shift)
        table_of(task, asked.rewards)
    except ConfigError as error:
        yield Fault(("shifts",), str(error))
        return
    wrong = sorted(set(asked.difficulties or ()) - set(task.difficulties))
    if wrong or asked.difficulties == []:
        yield Fault(("shifts", "difficulties"), f"task {task.name} has {list(task.difficulties) or 'none'}; got {asked.difficulties}.")


def _scores_traces(guidance: GuidanceConfig) -> bool:
    return guidance.grouping.kind in ("with_trace", "signed") and guidance.traces.rows != "none"


def _reward_faults(config: SftConfig | RlConfig) -> Iterator[Fault]:
    if not isinstance(config, RlConfig):
        return
    from vlmpost import rewards

    discounts: set[float] = set()
    for index, term in enumerate(config.rewards):
        try:
            built = rewards.build(
                [term], max_completion_length=config.generation.max_completion_length, pixel_budget=config.model.pixel_budget
            )
            if config.algorithm.kind == "grpo" and config.algorithm.advantage_estimator != "reinforce_plus_plus":
                built.check_undiscounted()
            discounts.update(built.discounts)
            if built.per_group and config.guidance is not None and _scores_traces(config.guidance):
                message = (
                    f"compares a whole group, and guidance.grouping.kind: {config.guidance.grouping.kind} scores each trace by itself."
                )
                yield Fault(("rewards", index), f"{message} Leave one of them out.")
        except ConfigError as error:
            for line in str(error).splitlines():
                message = line.removeprefix("rewards[0]: ").removeprefix(f"rewards[0] ({term.name}): ")
                yield Fault(("rewards", index), message)
    algorithm = config.algorithm
    if algorithm.kind == "ppo" and len(discounts) > 1 and algorithm.lam * algorithm.turn_lam < 1:
        values = ", ".join(f"{discount:g}" for discount in sorted(discounts))
        message = f"rewards with different discounts ({values}) need lam and turn_lam 1, got {algorithm.lam:g} and {algorithm.turn_lam:g}."
        yield Fault(("algorithm", "lam"), message)
