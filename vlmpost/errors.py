"""The errors of vlmpost: one small tree, drawn here.

    VlmpostError                     exit code 1
    |-- UserError                    the user can mend it: exit code 2, one message, no traceback
    |   |-- ConfigError              a recipe, a key, a flag
    |   |-- DataError                a row, an image, a dataset
    |   |-- ModelError               a model folder, weights, a LoRA target
    |   |-- RunError                 a run directory, a resume, a disk
    |   `-- MissingError             a missing package or device
    |-- GraderError                  a reward or a judge failed; never a reward of 0
    `-- TrainingStopped              a run ended itself: a fatal finding of the doctor, or a signal

A message says what is wrong, where, what we got and what to do, in that order.
Errors pickle: they cross process boundaries.
"""

from __future__ import annotations


class VlmpostError(Exception):
    """Base of every error raised on purpose."""

    exit_code = 1


class UserError(VlmpostError):
    """Something the user can mend."""

    exit_code = 2


class ConfigError(UserError):
    """A recipe, a key or a flag is wrong."""


class DataError(UserError):
    """A row, an image or a dataset is wrong."""


class ModelError(UserError):
    """A model folder, its weights or a LoRA target is wrong."""


class RunError(UserError):
    """A run directory, a resume or the disk is wrong."""


class MissingError(UserError):
    """A package or a device that was asked for is missing."""


class GraderError(UserError):
    """A reward function or a judge failed on a rollout."""


class TrainingStopped(VlmpostError):
    """A run stopped before its last step, with everything saved.

    Args:
        message: Why it stopped, and how to go on.
        exit_code: 130 after SIGTERM or SIGINT, 3 after a fatal finding of the doctor.
    """

    def __init__(self, message: str, exit_code: int = 3) -> None:
        super().__init__(message, exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        return str(self.args[0])
