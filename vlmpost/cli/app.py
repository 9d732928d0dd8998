"""The command line: every command, and the one place where errors become messages and exit codes.

Start-up imports typer and rich only; a command imports what it needs when it runs.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Annotated

import typer

from vlmpost.cli import (
    combine,
    config,
    curate,
    data,
    demo,
    environment,
    evaluation,
    make,
    merge,
    plan,
    recipes,
    reward,
    rollouts,
    tasks,
    train,
)
from vlmpost.cli.log import RunLog
from vlmpost.errors import RunError, VlmpostError

logger = logging.getLogger(__name__)

app = typer.Typer(
    name="vlmpost",
    help="Post-training of vision-language models: supervised fine-tuning, reinforcement learning, evaluation.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

TRAIN, DATA, LOOK = "Train and measure", "Data and rewards", "Look things up"

app.command("demo", rich_help_panel=TRAIN)(demo.demo)
app.command("sft", rich_help_panel=TRAIN)(train.sft)
app.command("rl", rich_help_panel=TRAIN)(train.rl)
app.command("combine", rich_help_panel=TRAIN)(combine.combine)
app.command("eval", rich_help_panel=TRAIN)(evaluation.evaluate)
app.command("curate", rich_help_panel=DATA)(curate.curate)
app.command("merge", rich_help_panel=TRAIN)(merge.merge)
app.command("plan", rich_help_panel=TRAIN)(plan.plan)
app.command("rollouts", rich_help_panel=LOOK)(rollouts.rollouts)
app.command("config", rich_help_panel=LOOK)(config.config)
app.command("env", rich_help_panel=LOOK)(environment.environment)
app.add_typer(recipes.app, name="recipes", rich_help_panel=LOOK)
app.add_typer(tasks.app, name="tasks", rich_help_panel=DATA)
app.add_typer(make.app, name="make", rich_help_panel=DATA)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.add_typer(reward.app, name="reward", rich_help_panel=DATA)


def _print_version(wanted: bool) -> None:
    if wanted:
        from vlmpost import __version__

        typer.echo(f"vlmpost {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line and ends the process: 0 done, 1 a bug, 2 the user can mend it, 3 stopped by the doctor, 130 interrupted."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        _check_working_folder()
        app()
    except VlmpostError as error:
        logger.debug("stopped", exc_info=True)
        _say(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the outer edge: what gets here is a bug, and is told as one
        _report_bug(error)
        sys.exit(1)


def _check_working_folder() -> None:
    """Refuses to start in a folder that was deleted under the shell.

    Raises:
        RunError: The working folder is gone.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        raise RunError("the working folder was deleted. Change to one that exists.") from None


def _report_bug(error: Exception) -> None:
    """Keeps the traceback in the run's log if there is one, else prints it, and says what it is."""
    text = "".join(traceback.format_exception(error))
    logs = [handler for handler in logging.getLogger().handlers if isinstance(handler, RunLog)]
    for handler in logs:
        handler.emit(logging.LogRecord(__name__, logging.ERROR, __file__, 0, "%s", (text,), None))
    where = f"The traceback is in {logs[0].baseFilename}." if logs else text
    _say(f"error: {type(error).__name__}: {error}\nThis is a bug in vlmpost, not in your recipe. {where}")


def _say(text: str) -> None:
    rank = os.environ.get("RANK", "0")
    print(text if rank == "0" else f"[rank {rank}] {text}", file=sys.stderr, flush=True)
