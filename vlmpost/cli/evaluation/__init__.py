"""`vlmpost eval`: how often a model is right on held-out questions, and what it does on a task in its variants."""

from __future__ import annotations

from vlmpost.cli.evaluation.command import evaluate
from vlmpost.cli.evaluation.questions import model_path, source_of

__all__ = ["evaluate", "model_path", "source_of"]
