"""A training run as a process of its own, for tests that kill one or start two: `python drive.py KIND CONFIG.json RUN_DIR [--resume]`."""

from __future__ import annotations

import sys
from pathlib import Path


def main(kind: str, config_path: str, run_dir: str, *flags: str) -> int:
    """Runs the recipe in `config_path`; returns the exit code."""
    from vlmpost.config.schema import RlConfig, SftConfig
    from vlmpost.errors import VlmpostError
    from vlmpost.runs.directory import create
    from vlmpost.runs.resume import open_for_resume
    from vlmpost.training.executor import run_rl, run_sft

    text = Path(config_path).read_text(encoding="utf-8")
    config = SftConfig.model_validate_json(text) if kind == "sft" else RlConfig.model_validate_json(text)
    path = Path(run_dir)
    try:
        if "--resume" in flags:
            run = open_for_resume(path, config)
        else:
            run = create(path.parent, path.name, recipe_text=text, config=config, manifest={"kind": kind})
        if isinstance(config, SftConfig):
            run_sft(config, run, resume="--resume" in flags)
        else:
            run_rl(config, run, resume="--resume" in flags)
    except VlmpostError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
