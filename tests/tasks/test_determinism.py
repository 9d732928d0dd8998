"""Every task that ships, in every variant: the same example in another process, whatever the hash seed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

from vlmpost import tasks

CODE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("determinism", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
import json
print(json.dumps(module.marks()))
"""


def marks() -> dict[str, str]:
    """A hash of what is said, known and drawn, by task, shift and difficulty."""
    found = {}
    for name in tasks.names():
        task = tasks.find(name)
        for shift in task.shifts:
            for difficulty in {*task.difficulties[:1], *task.difficulties[-1:]} or {None}:
                example = tasks.make(name, split="test", index=3, seed=11, difficulty=difficulty, shift=shift)
                prompt = [part if isinstance(part, str) else part.value for message in example.prompt for part in message.content]
                told = [example.id, prompt, example.answer, example.choices, example.solution, dict(example.meta)]
                pixels = b"".join(hashlib.sha256(image.data or b"").digest() for image in example.images)
                text = json.dumps(told, sort_keys=False).encode()
                found[f"{name} {shift} {difficulty}"] = hashlib.sha256(text + pixels).hexdigest()
    return found


def test_examples_are_the_same_in_another_process() -> None:
    here = marks()
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    done = subprocess.run([sys.executable, "-c", CODE, __file__], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == here
    assert {key.split()[0] for key in here} == set(tasks.names())
    assert len(set(here.values())) == len(here), "another variant or difficulty is another example"
