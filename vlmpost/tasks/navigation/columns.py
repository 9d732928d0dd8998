"""Points of a rail, or legs of a route, that a row gives as lists side by side: `actions` here, `observations` there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from vlmpost.errors import DataError

COLUMNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "actions": "action",
        "expert_actions": "action",
        "gt_actions": "action",
        "observations": "observation",
        "landmarks": "landmark",
        "intersections": "intersection",
        "headings": "heading",
        "distances": "distance",
    }
)
"""Name of a list with one item for each point or leg -> what the item is called there."""


def columns_of(values: Mapping[str, object]) -> list[dict[str, object]]:
    """Returns what lists side by side say of each point or leg; empty where there are none.

    Raises:
        DataError: They are of different lengths.
    """
    lists = {name: given for name in COLUMNS if isinstance(given := values.get(name), list)}
    lengths = {name: len(given) for name, given in lists.items()}
    if len({*lengths.values()}) > 1:
        raise DataError(f"lists side by side must have one item for each point, got {lengths}.")
    return [{COLUMNS[name]: item for name, item in zip(lists, items, strict=True)} for items in zip(*lists.values(), strict=True)]


def beside(points: Sequence[object], columns: Sequence[Mapping[str, object]]) -> Sequence[object]:
    """Returns the points with what the lists beside them say; what a point says itself counts more.

    Raises:
        DataError: There are more points than items, or fewer; or a point is none.
    """
    if not columns:
        return points
    if len(columns) != len(points):
        raise DataError(f"lists beside the rail must have one item for each of its {len(points)} points, got {len(columns)}.")
    pairs = enumerate(zip(points, columns, strict=True))
    return [{**column, **point_values(point, f"rail[{number}]")} for number, (point, column) in pairs]


def point_values(given: object, where: str) -> Mapping[str, object]:
    """Returns what is said of a point: an object, an action alone, or a pair of action and observation.

    Raises:
        DataError: It is none of these.
    """
    if isinstance(given, str):
        return {"action": given}
    if isinstance(given, list) and len(given) == 2:
        return {"action": given[0], "observation": given[1]}
    if not isinstance(given, Mapping):
        raise DataError(f"{where} must be an action or an object with one, got {given!r:.80}.")
    return given
