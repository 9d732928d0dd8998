"""The evaluation of the shipped model on drawn questions: same answers whatever the batch, continued after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vlmpost import rewards, tasks
from vlmpost.config.schema import GenerationConfig, ModelConfig, RewardTermConfig
from vlmpost.errors import ConfigError, DataError, RunError
from vlmpost.evaluation import evaluate, read_result
from vlmpost.evaluation.results import Records
from vlmpost.records import Example, Message

GENERATION = GenerationConfig(max_completion_length=16)


@pytest.fixture(scope="module")
def loaded():
    from vlmpost.models.loader import load

    return load(ModelConfig(path="nano", device="cpu"), purpose="eval")


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    drawn = list(tasks.stream("counting", split="test", seed=3, num_examples=3, difficulties=[1]))
    return [*drawn, Example("text", "plain", (Message("user", ("How many?",)),))]


@pytest.mark.train
def test_records_do_not_depend_on_batches_or_interruption(loaded, examples: list[Example], tmp_path: Path) -> None:
    built = rewards.build([RewardTermConfig(name="accuracy"), RewardTermConfig(name="boxed_format", weight=0.1)])
    seen: list[tuple[int, int]] = []
    whole = evaluate(
        loaded,
        examples,
        generation=GENERATION,
        num_samples=2,
        seed=5,
        out_path=tmp_path / "whole",
        rewards=built,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(8, 8)]
    assert (whole.num_questions, whole.num_samples) == (4, 2)
    assert set(whole.counts) == {example.id for example in examples[:3]}, "the text question has no answer to judge"
    assert all(runs == 2 for _, runs in whole.counts.values())

    records = Records(tmp_path / "parts")
    evaluate(loaded, examples, generation=GENERATION, num_samples=1, seed=5, out_path=records.folder, rewards=built, batch_size=3)
    lines = records.predictions_path.read_text().splitlines(keepends=True)
    records.predictions_path.write_text("".join(lines[:2]) + lines[2][:20])
    parts = evaluate(loaded, examples, generation=GENERATION, num_samples=2, seed=5, out_path=records.folder, rewards=built, batch_size=1)

    def texts(folder: Path) -> dict[tuple[object, object], object]:
        return {(row["id"], row["sample"]): row["text"] for row in Records(folder).rows()}

    assert texts(records.folder) == texts(tmp_path / "whole")
    assert parts.counts == whole.counts
    assert parts.part_means == whole.part_means
    assert read_result(tmp_path / "whole").to_json() == whole.to_json()
    for row in Records(tmp_path / "whole").rows():
        assert (row["outcome"] == "correct") == ((row["parts"] or {}).get("accuracy") == 1.0)  # type: ignore[union-attr]

    with pytest.raises(RunError, match="seed was 5, is 6"):
        evaluate(loaded, examples, generation=GENERATION, num_samples=1, seed=6, out_path=records.folder, rewards=built)
    with pytest.raises(RunError, match="data_hash"):
        evaluate(loaded, examples[:2], generation=GENERATION, num_samples=1, seed=5, out_path=records.folder, rewards=built)


@pytest.mark.train
def test_an_answer_that_nothing_can_be_judged_by_is_told_before_anything_is_generated(
    loaded, examples: list[Example], tmp_path: Path
) -> None:
    odd = replace(examples[0], answer="many", answer_type="number")
    with pytest.raises(DataError, match=f"1 of {len(examples)} reference answers cannot be judged.*{odd.id}.*not a number"):
        evaluate(loaded, [odd, *examples[1:]], generation=GENERATION, num_samples=1, seed=0, out_path=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.train
def test_questions_that_cannot_be_told_apart_are_refused(loaded, examples: list[Example], tmp_path: Path) -> None:
    for wrong, message in (([], "no questions"), ([examples[0], examples[0]], "more than one question")):
        with pytest.raises(ConfigError, match=message):
            evaluate(loaded, wrong, generation=GENERATION, num_samples=1, seed=0, out_path=tmp_path / "x")
    with pytest.raises(ConfigError, match="num_samples must be 1"):
        evaluate(loaded, examples, generation=GENERATION, num_samples=2, seed=0, out_path=tmp_path / "x", greedy=True)
