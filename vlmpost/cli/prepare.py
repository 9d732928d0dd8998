"""A recipe checked as far as it can be without torch: its keys, its tasks, its rewards, its batch arithmetic. All faults together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmpost.config.batch import BatchPlan, plan_rl, plan_sft
from vlmpost.config.describe import Kind
from vlmpost.config.hints import near
from vlmpost.config.load import Loaded, load, message_of
from vlmpost.config.schema import RlConfig, SftConfig
from vlmpost.config.yaml_text import Fault, parse
from vlmpost.errors import ConfigError
from vlmpost.runs.directory import world_size


@dataclass(frozen=True)
class Prepared:
    """A recipe that is ready to run."""

    loaded: Loaded
    batch: BatchPlan

    @property
    def config(self) -> SftConfig | RlConfig:
        """The resolved recipe."""
        return self.loaded.config


def prepare(kind: Kind, recipe: Path, overrides: Sequence[str] | None) -> Prepared:
    """The recipe, checked.

    Raises:
        ConfigError: Anything is wrong; every fault is named.
    """
    loaded = load(kind, recipe, overrides or ())
    faults = [*_task_faults(loaded.config), *_reward_faults(loaded.config)]
    batch = None
    try:
        batch = batch_of(loaded.config)
    except ConfigError as error:
        key, _, message = str(error).partition(": ")
        faults.append(Fault(tuple(key.split(".")), message))
    if faults or batch is None:
        raise ConfigError(message_of(faults, loaded.path, lines=loaded.lines, set_keys=loaded.set_keys))
    return Prepared(loaded, batch)


def batch_of(config: SftConfig | RlConfig) -> BatchPlan:
    """The batch arithmetic of a recipe for this launch.

    Raises:
        ConfigError: The numbers do not divide.
    """
    if isinstance(config, RlConfig):
        return plan_rl(config.training, config.algorithm, world_size=world_size())
    return plan_sft(config.training, world_size=world_size())


def kind_of(recipe: Path) -> Kind:
    """Which command a recipe is for: "rl" when it has a section that only RL has. A file that cannot be read counts as "sft"."""
    import yaml

    try:
        data, _, _ = parse(recipe.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return "sft"  # load() says what is wrong with it
    return "rl" if isinstance(data, dict) and {"algorithm", "generation", "rewards"} & set(data) else "sft"


def _task_faults(config: SftConfig | RlConfig) -> Iterator[Fault]:
    sources = [("train", index, source) for index, source in enumerate(config.data.train)]
    sources += [("eval", index, source) for index, source in enumerate(config.data.eval)]
    drawn = [(part, index, source.task) for part, index, source in sources if source.task is not None]
    if not drawn:
        return
    from vlmpost import tasks

    names = tasks.names()
    for part, index, task in drawn:
        if task not in names:
            message = f"no drawn task {task!r}{near(task, names) or '.'} Tasks: {', '.join(sorted(names))}."
            yield Fault(("data", part, index, "task"), message)


def _reward_faults(config: SftConfig | RlConfig) -> Iterator[Fault]:
    if not isinstance(config, RlConfig):
        return
    from vlmpost import rewards

    for index, term in enumerate(config.rewards):
        try:
            built = rewards.build(
                [term], max_completion_length=config.generation.max_completion_length, pixel_budget=config.model.pixel_budget
            )
            built.check_undiscounted()
        except ConfigError as error:
            for line in str(error).splitlines():
                message = line.removeprefix("rewards[0]: ").removeprefix(f"rewards[0] ({term.name}): ")
                yield Fault(("rewards", index), message)
