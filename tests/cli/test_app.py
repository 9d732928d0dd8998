"""Errors become one message and an exit code; start-up stays light."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmpost.cli import app
from vlmpost.cli.log import RunLog
from vlmpost.errors import ConfigError, TrainingStopped

Cli = Callable[..., subprocess.CompletedProcess[str]]


def modules_after(*arguments: str, cwd: Path) -> set[str]:
    """The top-level modules that a command line has imported when it ends."""
    program = f"""
import sys
sys.argv = ["vlmpost", *{list(arguments)!r}]
from vlmpost.cli.app import main
try:
    main()
except SystemExit:
    pass
print("MODULES", *sorted({{name.split(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, timeout=120, check=False)
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    loaded = modules_after("--help", cwd=tmp_path)
    assert "typer" in loaded
    assert loaded & {"torch", "transformers", "trl", "numpy", "pydantic", "yaml", "PIL", "datasets"} == set()


@pytest.mark.parametrize(
    "arguments",
    [["rl", "r.yaml", "--set", "training.lerning_rate=1"], ["rl", "r.yaml", "--dry-run"], ["plan", "r.yaml"], ["env"], ["config", "rl"]],
)
def test_what_only_reads_a_recipe_imports_no_torch(tmp_path: Path, recipe: Path, arguments: list[str]) -> None:
    loaded = modules_after(*arguments, cwd=tmp_path)
    assert "vlmpost" in loaded
    assert loaded & {"torch", "transformers", "trl"} == set()


def test_every_command_has_help(cli: Cli) -> None:
    said = cli("--help")
    assert said.returncode == 0
    for command in ("config", "data", "demo", "env", "eval", "make", "merge", "plan", "recipes", "reward", "rl", "rollouts", "sft"):
        assert command in said.stdout


def test_an_unknown_command_gets_a_near_name_and_exit_code_2(cli: Cli) -> None:
    said = cli("sftt")
    assert said.returncode == 2
    assert "Did you mean 'sft'" in said.stderr


def test_the_version_is_printed(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("vlmpost 0.")


def leave(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code of `main` when a command raises `error`."""

    def command() -> None:
        raise error

    monkeypatch.setattr(app, "app", command)
    with pytest.raises(SystemExit) as ended:
        app.main()
    return int(str(ended.value.code))


def test_a_user_error_is_one_message_without_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave(monkeypatch, ConfigError("r.yaml:1: model: bad.")) == 2
    assert capsys.readouterr().err == "error: r.yaml:1: model: bad.\n"


def test_a_stopped_run_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert leave(monkeypatch, TrainingStopped("stopped by SIGTERM; go on with --resume", 130)) == 130
    assert leave(monkeypatch, TrainingStopped("every completion was cut")) == 3


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    assert leave(monkeypatch, KeyboardInterrupt()) == 130


def test_a_bug_is_told_as_one_with_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave(monkeypatch, ZeroDivisionError("division by zero")) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ZeroDivisionError: division by zero\nThis is a bug in vlmpost, not in your recipe.")
    assert "Traceback" in said


def test_the_traceback_of_a_bug_goes_to_the_log_of_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    handler = RunLog(tmp_path / "attempt_1.log")
    logging.getLogger().addHandler(handler)
    try:
        assert leave(monkeypatch, ZeroDivisionError("division by zero")) == 1
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert f"The traceback is in {tmp_path / 'attempt_1.log'}" in said
    assert "ZeroDivisionError" in (tmp_path / "attempt_1.log").read_text()
