"""Finding a user's function or class by file or by module, and what is said when it is not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vlmpost.config.user_code import find_object
from vlmpost.errors import ConfigError


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text)
    return file


def test_a_function_of_a_file_and_of_a_module_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "taste_of_mine.py", "def sweet():\n    return 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_object(f"{file}:sweet", what="Reward", kind="function")() == 3
    assert find_object("taste_of_mine:sweet", what="Reward", kind="function")() == 3


def test_a_path_is_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "inner", "near.py", "class Here:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    assert find_object("inner/near.py:Here", what="Task", kind="class").__name__ == "Here"


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    one = write(tmp_path / "one", "same.py", "def which():\n    return 1\n")
    two = write(tmp_path / "two", "same.py", "def which():\n    return 2\n")
    assert [find_object(f"{file}:which", what="Reward", kind="function")() for file in (one, two)] == [1, 2]


def test_a_missing_name_is_said_with_what_there_is_of_its_kind(tmp_path: Path) -> None:
    file = write(tmp_path, "mixed.py", "class Circle: pass\nclass _Hidden: pass\ndef area(): pass\nvalue = 3\n")
    with pytest.raises(ConfigError, match=r"has no class 'Square'\. It has: Circle\."):
        find_object(f"{file}:Square", what="Task", kind="class")
    with pytest.raises(ConfigError, match=r"has no function 'value'\. It has: Circle, area\."):
        find_object(f"{file}:value", what="Reward", kind="function")
    empty = write(tmp_path, "empty.py", "")
    with pytest.raises(ConfigError, match="It has: no classes"):
        find_object(f"{empty}:Square", what="Task", kind="class")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import no_such_package_at_all\n", "ModuleNotFoundError: No module named 'no_such_package_at_all'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("def broken(:\n", "SyntaxError: "),
    ],
)
def test_a_file_that_fails_to_import_is_told_with_its_cause_and_forgotten(tmp_path: Path, text: str, cause: str) -> None:
    file = write(tmp_path, "failing.py", text)
    before = set(sys.modules)
    with pytest.raises(ConfigError, match=f"Reward '.*failing.py:f': .*failing.py could not be imported: {cause}"):
        find_object(f"{file}:f", what="Reward", kind="function")
    assert not {name for name in set(sys.modules) - before if name.startswith("vlmpost_user_")}


def test_a_missing_file_is_said_with_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=rf"Task 'gone\.py:C': there is no file {tmp_path}/gone\.py\. A path is relative"):
        find_object("gone.py:C", what="Task", kind="class")


def test_a_module_that_is_a_file_here_is_hinted_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "local_and_not_on_the_path.py", "def f(): pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    with pytest.raises(ConfigError, match=r"cannot be found\. A file of that name is here: write local_and_not_on_the_path\.py:f\."):
        find_object("local_and_not_on_the_path:f", what="Reward", kind="function")
