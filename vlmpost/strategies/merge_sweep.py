"""Merging two models in a grid of methods, ratios and densities, and measuring each point.

`sweep.json` in the sweep's folder is the truth: it is replaced whole after each point, and a point that stands in it is not made again.
Points whose weights are one of the inputs bit for bit (ratio 0 and 1, but for what `density` drops) are merged and measured once.

Source: the grid of arXiv 2507.07562, section 4.2: the ratio is the weight of the SFT model, 0 the RL model, 1 the SFT model.
Which point is the best must be judged on questions for validation; the measure decides what is asked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from vlmpost import jsonl
from vlmpost.errors import ConfigError, DataError, RunError
from vlmpost.models.merge import MergePlan, Progress, check_plan, checked_formula, identity, merge
from vlmpost.models.merging.scratch import remove_left, remove_whole
from vlmpost.reports.interval_lines import Panel, Place, interval_lines

RECORD: Final = "sweep.json"
PICTURE: Final = "sweep.svg"
Keep = Literal["all", "best", "none"]
"""Which merged weights stay after they were measured."""
Measure = Callable[[Path], Mapping[str, object]]
"""From a merged folder, named after its point, to JSON values: at least `accuracy` with mean, low and high, and `mean_tokens`."""


@dataclass(frozen=True, slots=True)
class Point:
    """One merge of the grid."""

    method: str
    ratio: float
    """Weight of the second model; the first has the rest."""
    density: float | None
    """None: the method keeps all of a task vector."""

    @property
    def line(self) -> str:
        """What it is a point of: the method, and its density where it has one."""
        return self.method if self.density is None else f"{self.method} density {self.density:g}"

    @property
    def name(self) -> str:
        """The name of its folder.

        >>> Point("ties", 0.25, 0.5).name
        'ties_density_0.5_ratio_0.25'
        """
        return f"{self.line.replace(' ', '_')}_ratio_{self.ratio:g}"


@dataclass(frozen=True, slots=True)
class Measured:
    """A point and what was found."""

    point: Point
    result: Mapping[str, Any]  # Any: JSON values of the measure
    same_as: str | None = None
    """Name of the point that has the same weights and was measured in its place."""

    @property
    def accuracy(self) -> float:
        """From 0 to 1."""
        return float(self.result["accuracy"]["mean"])

    @property
    def mean_tokens(self) -> float:
        """Length of an answer."""
        return float(self.result["mean_tokens"])

    @property
    def folder_name(self) -> str:
        """Where its weights were written."""
        return self.same_as or self.point.name


@dataclass(frozen=True)
class SweepResult:
    """The grid, measured."""

    folder: Path
    points: tuple[Measured, ...]

    @property
    def best(self) -> Measured:
        """Highest accuracy; of equal ones the shortest answers, then the first."""
        return best_of(self.points)

    @property
    def best_folder(self) -> Path:
        """The best point's weights; they are there unless none are kept."""
        return self.folder / self.best.folder_name


def sweep(
    models: Sequence[str],
    folder: Path,
    *,
    methods: Sequence[str],
    ratios: Sequence[float],
    measure: Measure,
    densities: Sequence[float] = (),
    base: str | None = None,
    vision: str = "merge",
    dtype: str | None = None,
    keep: Keep = "best",
    setting: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> SweepResult:
    """Merges and measures each point of the grid into `folder`, and draws it; goes on where it stopped.

    Args:
        models: Two: the RL model, whose files travel along, and the SFT model.
        folder: Holds a folder for each point, `sweep.json` and `sweep.svg`.
        methods: Of merging.
        ratios: Weights of the second model, 0 to 1.
        measure: Called once for each point with its folder.
        densities: For methods that drop a part of a task vector.
        base: What task vectors are measured from.
        vision: As in `MergePlan`.
        dtype: As in `MergePlan`.
        keep: Merged weights that stay; with "best" each is deleted once a better point is known.
        setting: What the measure depends on, as JSON values: with another one a sweep is not continued.
        progress: Called with (what, done, total).

    Raises:
        ConfigError: The grid is empty or contradicts itself.
        RunError: The folder holds another sweep, or the disk refuses.
        ModelError: As `merge`.
    """
    grid = grid_of(methods, ratios, densities)
    if keep not in get_args(Keep):
        raise ConfigError(f"keep: expected {', '.join(get_args(Keep))}, got {keep!r}.")
    plans = {point: _plan(point, models, base=base, vision=vision, dtype=dtype) for point in grid}
    facts = {"models": [identity(model) for model in models], "base": None if base is None else identity(base)}
    record = _Record(folder, list(models), {**facts, "vision": vision, "dtype": dtype, "setting": dict(setting or {})})
    record.open()
    for point in grid:
        remove_left(folder / point.name)
    for num_done, point in enumerate(grid):
        if progress is not None:
            progress("merging and measuring", num_done, len(grid))
        if point not in record.points:
            record.add(_measured(point, plans, record, measure, progress))
        _discard(record, grid, keep)
    result = SweepResult(folder, tuple(record.points[point] for point in grid))
    jsonl.replace_text(folder / PICTURE, picture(result))
    return result


def grid_of(methods: Sequence[str], ratios: Sequence[float], densities: Sequence[float]) -> list[Point]:
    """Returns the points, method by method, each density by ascending ratio.

    >>> [point.name for point in grid_of(["linear", "ties"], [0.5], [0.2])]
    ['linear_ratio_0.5', 'ties_density_0.2_ratio_0.5']

    Raises:
        ConfigError: Nothing is to be done, a ratio is out of range, or no method uses densities, or one needs some.
    """
    if not methods or not ratios:
        raise ConfigError("A sweep needs at least one method and one ratio.")
    wrong = [ratio for ratio in ratios if not (math.isfinite(ratio) and 0 <= ratio <= 1)]
    if wrong:
        raise ConfigError(f"Ratios are weights of the second model, from 0 to 1; got {', '.join(map(str, wrong))}.")
    formulas = {method: checked_formula(method, num_models=2) for method in dict.fromkeys(methods)}
    sparse = [method for method, formula in formulas.items() if formula.method.sparsify]
    if bool(sparse) != bool(densities):
        raise ConfigError(f"{', '.join(sparse)}: give densities." if sparse else f"{', '.join(formulas)}: no method here uses densities.")
    return [
        Point(method, float(ratio), density)
        for method in formulas
        for density in (dict.fromkeys(map(float, densities)) if method in sparse else [None])
        for ratio in sorted(set(ratios))
    ]


def best_of(points: Sequence[Measured]) -> Measured:
    """Returns the point of highest accuracy; of equal ones that of the shortest answers, then the first."""
    return max(points, key=lambda one: (one.accuracy, -one.mean_tokens))


def picture(result: SweepResult) -> str:
    """Returns accuracy and answer length against the ratio, a line for each method and density, with intervals, as SVG."""
    lines: dict[str, list[Measured]] = {}
    for one in result.points:
        lines.setdefault(one.point.line, []).append(one)
    accuracy = tuple((name, tuple(_accuracy_place(one) for one in line)) for name, line in lines.items())
    lengths = tuple((name, tuple(Place(one.point.ratio, one.mean_tokens) for one in line)) for name, line in lines.items())
    panels = [Panel("accuracy, percent", accuracy), Panel("tokens of an answer", lengths)]
    return interval_lines(panels, x_title="weight of the second model", title="Accuracy and answer length of merged models")


def rows(result: SweepResult) -> list[list[str]]:
    """Returns the cells of a table: method, density, ratio, accuracy with its interval, tokens, and a word on the best."""
    return [
        [
            one.point.method,
            "" if one.point.density is None else f"{one.point.density:g}",
            f"{one.point.ratio:g}",
            _percent(one.result["accuracy"]),
            f"{one.mean_tokens:.1f}",
            "best" if one is result.best else "",
        ]
        for one in result.points
    ]


COLUMNS: Final = ("method", "density", "ratio", "accuracy", "tokens", "")


@dataclass
class _Record:
    """`sweep.json`."""

    folder: Path
    models: list[str]
    """As the user gave them."""
    facts: Mapping[str, object]
    """What a point depends on, models by the hash of their weights."""

    def __post_init__(self) -> None:
        self.points: dict[Point, Measured] = {}

    def open(self) -> None:
        """Reads what was measured before; a new folder gets its record before the first merge."""
        wanted = json.loads(json.dumps(self.facts))
        path = self.folder / RECORD
        if path.is_file():
            stored = json.loads(path.read_text(encoding="utf-8"))
            different = sorted(key for key in wanted if stored["facts"][key] != wanted[key])
            if different:
                raise RunError(f"{self.folder} holds another sweep: its {', '.join(different)} differ. Choose another folder.")
            for entry in stored["points"]:
                point = Point(entry["method"], entry["ratio"], entry["density"])
                self.points[point] = Measured(point, entry["result"], entry["same_as"])
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise RunError(f"{self.folder} is not empty and has no {RECORD}, so it is no sweep to go on with. Choose another folder.")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write()

    def add(self, measured: Measured) -> None:
        """Keeps a point."""
        self.points[measured.point] = measured
        self.write()

    def write(self) -> None:
        """Replaces the file whole."""
        entries = [
            {**_described(one.point), "name": one.point.name, "same_as": one.same_as, "result": dict(one.result)}
            for one in self.points.values()
        ]
        best = best_of(list(self.points.values())).point.name if self.points else None
        jsonl.replace_json(self.folder / RECORD, {"models": self.models, "facts": self.facts, "best": best, "points": entries})


def _described(point: Point) -> dict[str, object]:
    return {"method": point.method, "ratio": point.ratio, "density": point.density}


def _plan(point: Point, models: Sequence[str], *, base: str | None, vision: str, dtype: str | None) -> MergePlan:
    if len(models) != 2:
        raise ConfigError(f"A sweep goes from one model to another: give two, not {len(models)}.")
    weights = (1 - point.ratio, point.ratio)
    formula = checked_formula(point.method, num_models=2, weights=weights, density=point.density)
    uses_base = formula.method.on_task_vectors or vision == "keep"
    plan = MergePlan(tuple(models), formula, base if uses_base else None, vision, dtype)
    check_plan(plan)
    return plan


def _measured(point: Point, plans: Mapping[Point, MergePlan], record: _Record, measure: Measure, progress: Progress | None) -> Measured:
    """Merges and measures one point, or takes the result of one whose weights are the same."""
    twin = next((one for one in record.points.values() if _are_same(plans.get(one.point), plans[point])), None)
    if twin is not None:
        return replace(twin, point=point, same_as=twin.folder_name)
    folder = record.folder / point.name
    if not folder.is_dir():  # a merge is renamed when it is whole, so what is there is this point
        merge(plans[point], folder, progress=progress)
    result = measure(folder)
    if not isinstance(result.get("accuracy"), Mapping):
        raise DataError(f"{point.name}: none of the questions could be judged, so merges cannot be compared. Give others.")
    return Measured(point, result)


def _are_same(first: MergePlan | None, second: MergePlan) -> bool:
    """Whether both give one input's weights bit for bit."""
    return first is not None and (only := second.formula.only_one()) is not None and first.formula.only_one() == only


def _discard(record: _Record, grid: Sequence[Point], keep: Keep) -> None:
    """Deletes the weights of measured points that are not to stay."""
    if keep == "all":
        return
    known = [record.points[point] for point in grid if point in record.points]
    stays = best_of(known).folder_name if keep == "best" else None
    for one in known:
        folder = record.folder / one.folder_name
        if one.folder_name != stays and folder.is_dir():
            remove_whole(folder)


def _accuracy_place(one: Measured) -> Place:
    low, high = (one.result["accuracy"][key] for key in ("low", "high"))
    return Place(one.point.ratio, 100 * one.accuracy, *(None if end is None else 100 * float(end) for end in (low, high)))


def _percent(estimate: Mapping[str, Any]) -> str:  # Any: numbers, or null for an unknown end
    low, high = estimate["low"], estimate["high"]
    interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{100 * estimate['mean']:.1f} %{interval}"
