"""A task of one's own in one file: by file and by module, the documented example as it is written, and what can be wrong with one."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path

import pytest

from vlmpost import tasks
from vlmpost.errors import ConfigError
from vlmpost.tasks import task as contract
from vlmpost.tasks.episode import Episode

FAULTY = """
from vlmpost.tasks import Problem, Task

class NotATask:
    pass

class Nameless(Task):
    def pose(self, rng, *, options, difficulty):
        return Problem(prompt=("?",), content={})

class Poseless(Task):
    name = "poseless"

class Choosy(Task):
    name = "choosy"

    def __init__(self, taste):
        self.taste = taste

    def pose(self, rng, *, options, difficulty):
        return Problem(prompt=("?",), content={})

number = 7
"""


def documented() -> str:
    """The example in the contract's docstring."""
    lines = inspect.getdoc(contract).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("    "))
    end = next(number for number, line in enumerate(lines[start:], start) if line and not line.startswith("    "))
    return textwrap.dedent("\n".join(lines[start:end]))


@pytest.fixture
def parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "parity_of_mine.py"
    file.write_text(documented())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return file


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    file = tmp_path / "faulty.py"
    file.write_text(FAULTY)
    return file


@pytest.mark.parametrize("name", ["parity_of_mine.py:Parity", "parity_of_mine:Parity"])
def test_the_documented_example_works_as_written(parity: Path, name: str) -> None:
    examples = list(tasks.stream(name, split="train", num_examples=20, seed=4))
    assert {example.answer for example in examples} == {"even", "odd"}
    for example in examples:
        assert example.task == name, "by which it is found again"
        assert example.answer == ("even" if example.meta["number"] % 2 == 0 else "odd")
        assert example.prompt[0].text == f"Is {example.meta['number']} even or odd?"
        assert tasks.find(example.task).verify(example, example.answer).correct
        assert tasks.find(example.task).solve(example) == example.answer
    assert examples == list(tasks.stream(name, split="train", num_examples=20, seed=4))


def test_a_task_of_ones_own_can_be_revised(parity: Path) -> None:
    example = tasks.make("parity_of_mine.py:Parity", split="test", index=0)
    wrong = {"even": "odd", "odd": "even"}[example.answer]
    episode = Episode(tasks.find(example.task), example, verify_iterations=3)
    assert [episode.step(reply).correct for reply in (wrong, example.answer)] == [False, True]
    assert episode.succeeded


def test_what_it_does_not_have_is_said(parity: Path) -> None:
    found = tasks.find("parity_of_mine.py:Parity")
    example = tasks.make("parity_of_mine.py:Parity", split="train", index=0)
    with pytest.raises(ConfigError, match="no reasoned solutions"):
        found.solve(example, style="reasoned")
    with pytest.raises(ConfigError, match="cannot be given an instance explicitly"):
        found.from_row({"number": 3})
    with pytest.raises(ConfigError, match="has no difficulties, got 2"):
        tasks.make("parity_of_mine.py:Parity", split="train", index=0, difficulty=2)


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("NotATask", "NotATask is not a subclass of vlmpost.tasks.Task"),
        ("Nameless", "its class attribute `name` is missing"),
        ("Poseless", "it cannot be made: .*abstract.*pose"),
        ("Choosy", "it cannot be made: .*taste"),
        ("Chosy", r"has no class 'Chosy'\. It has: Choosy, Nameless, NotATask, Poseless, Problem, Task"),
        ("number", "has no class 'number'"),
    ],
)
def test_faulty_classes_end_in_one_sentence(faulty: Path, attribute: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tasks.find(f"{faulty}:{attribute}")


def test_missing_files_and_modules_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Task '.*nothing\.py:Parity': there is no file"):
        tasks.find(f"{tmp_path}/nothing.py:Parity")
    with pytest.raises(ConfigError, match="module 'nowhere_at_all' cannot be found"):
        tasks.find("nowhere_at_all.tasks:Parity")
