"""Faults between the keys of a recipe of `vlmpost curate`, each of which is right by itself.

Whether a pattern is a regular expression and a language is one that can be told apart is the filters' to say, before anything is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from pydantic import BaseModel

from vlmpost.config.curate import FiltersConfig, KeepConfig, QuestionsConfig, TeacherConfig
from vlmpost.config.schema import GenerationConfig
from vlmpost.config.yaml_text import Fault

Given = Callable[[str], frozenset[str]]
"""The keys of a section that the recipe gives, by the section's name."""

_ENDPOINT_KEYS: Final = ("max_concurrent", "max_seconds", "max_tries", "name", "reflection_name", "think_tags")
_ACTION_KEYS: Final = ("max_actions", "reflection_name")
_QUESTION_OWNERS: Final = {"max_pass_rate": "pass_rates", "needs_image_samples": "needs_image"}
"""Keys that count only where another one is given."""


def curate_faults(section: BaseModel | None, *, given: Given) -> Iterator[Fault]:
    """Yields what is wrong in one section of a recipe.

    Args:
        section: Any section; None and sections that other commands have too, but for `generation`, have no fault here.
        given: The keys that the recipe gives.
    """
    if isinstance(section, TeacherConfig):
        yield from _teacher(section, given("teacher"))
    elif isinstance(section, QuestionsConfig):
        yield from _questions(given("questions"))
    elif isinstance(section, FiltersConfig):
        yield from _filters(section)
    elif isinstance(section, KeepConfig):
        yield from _keep(section)
    elif isinstance(section, GenerationConfig) and section.seeding == "batch":
        message = "a curation that is continued needs answers that do not depend on the batch; leave it out or give sample."
        yield Fault(("generation", "seeding"), message)


def _teacher(teacher: TeacherConfig, given: frozenset[str]) -> Iterator[Fault]:
    if teacher.kind == "endpoint" and not (teacher.name or "").strip():
        yield Fault(("teacher", "name"), "is not given; say which model answers at the endpoint.")
    if teacher.kind == "model":
        for name in sorted(given.intersection(_ENDPOINT_KEYS)):
            yield Fault(("teacher", name), "is for kind: endpoint; add that, or leave it out.")
    if teacher.prompting == "answer":
        for name in sorted(given.intersection(_ACTION_KEYS)):
            yield Fault(("teacher", name), "is for prompting: actions; add that, or leave it out.")
    elif "think_tags" in given:
        yield Fault(("teacher", "think_tags"), "is for prompting: answer; leave it out: thoughts are what this teacher says.")


def _questions(given: frozenset[str]) -> Iterator[Fault]:
    for name, owner in _QUESTION_OWNERS.items():
        if name in given and owner not in given:
            yield Fault(("questions", name), f"has no effect without {owner}; add that, or leave it out.")


def _filters(filters: FiltersConfig) -> Iterator[Fault]:
    low, high = filters.min_tokens, filters.max_tokens
    if low is not None and high is not None and low > high:
        yield Fault(("filters", "min_tokens"), f"is above max_tokens ({low} > {high}); swap or change them.")


def _keep(keep: KeepConfig) -> Iterator[Fault]:
    if keep.which != "all" and keep.num is None and keep.max_rows is None:
        message = f"{keep.which} says which answers are taken first, and all are kept; add num (of each question) or max_rows."
        yield Fault(("keep", "which"), message)
