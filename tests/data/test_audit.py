"""The audit counts what the processor will count, and drops whole rows by name."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vlmpost.config.schema import DataConfig, ModelConfig, SourceConfig
from vlmpost.data import Ledger, collect
from vlmpost.data.audit import audit, prepare
from vlmpost.data.conversation import to_completion, to_messages
from vlmpost.data.tokens import NUM_VERIFIED, TokenCounter
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.models.loader import load_processor
from vlmpost.records import IMAGE, Example, ImageRef, Message

Config = Callable[..., DataConfig]
FAMILIES = ("gemma3", "idefics3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm")


@pytest.fixture(scope="session")
def nano() -> Any:
    return load_processor(ModelConfig())


def example(*images: bytes, text: str = "How many?", solution: str | None = "<think>one</think>1", id: str = "e") -> Example:
    content = (*([IMAGE] * len(images)), text)
    return Example(
        id=id, task="t", prompt=(Message("user", content),), images=tuple(ImageRef(data=data) for data in images), solution=solution
    )


def processed(processor: Any, one: Example, *, instruction: str | None = None) -> list[int]:
    """The prompt's token ids from the processor itself, real images given."""
    text = processor.apply_chat_template(to_messages(one, instruction=instruction), tokenize=False, add_generation_prompt=True)
    images = [[open_image(ref) for ref in one.images]] if one.images else None
    return [int(token) for token in processor(text=[text], images=images, add_special_tokens=False)["input_ids"][0]]


def counted(one: Example, processor: Any, data: DataConfig, *, with_solution: bool = False) -> Any:
    kept, ledger = audit([one], processor, data, with_solution=with_solution)
    assert len(kept) == 1, ledger.summary()
    return ledger.kept[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_counts_equal_the_processors_for_every_family(
    family: str, tiny_model: Any, drawn: Callable[..., bytes], data_config: Config
) -> None:
    processor = load_processor(ModelConfig(path=str(tiny_model(family))))
    sizes = [(40, 30), (64, 64), (200, 50), (31, 97), (128, 256), (57, 33), (300, 200)]
    rows = [example(drawn(size), id=str(size)) for size in sizes]
    rows += [example(drawn(first), drawn(second), id=f"{first}{second}") for first, second in itertools.pairwise(sizes)]
    rows += [example(text="No picture, 3 + 4 = ?", id="text")]
    kept, ledger = audit(rows, processor, data_config(), with_solution=False)
    assert len(kept) == len(rows) == 14
    for one, row in zip(kept, ledger.kept, strict=True):
        ids = processed(processor, one)
        assert row.prompt_tokens == len(ids), one.id
        assert row.image_tokens == sum(token == processor.image_token_id for token in ids), one.id


def test_the_qwen_families_are_counted_without_pixels_after_the_first_rows(
    nano: Any, drawn: Callable[..., bytes], data_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = TokenCounter._processed
    monkeypatch.setattr(TokenCounter, "_processed", lambda self, text, sizes: calls.append(1) or original(self, text, sizes))
    audit([example(drawn((40 + n, 30)), id=str(n)) for n in range(12)], nano, data_config(), with_solution=False)
    assert len(calls) == NUM_VERIFIED


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.tuples(st.integers(8, 700), st.integers(8, 700)), min_size=1, max_size=3), text=st.text(max_size=30))
def test_any_sizes_and_text_count_the_same_both_ways(nano: Any, sizes: list[tuple[int, int]], text: str) -> None:
    counter = TokenCounter(nano)
    if any(special in text for special in counter.specials):
        return
    messages = to_messages(example(*([b"x"] * len(sizes)), text=text), instruction=None)
    rendered = counter._render(messages)
    assert counter._predicted(rendered, sizes) == counter._processed(rendered, sizes)


@pytest.mark.parametrize("with_image", [True, False])
def test_solution_tokens_are_those_that_trl_trains_on(
    with_image: bool, nano: Any, drawn: Callable[..., bytes], data_config: Config
) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    one = example(*([drawn((90, 60))] if with_image else []))
    row = counted(one, nano, data_config(instruction="Think."), with_solution=True)
    batch = {
        "prompt": to_messages(one, instruction="Think."),
        "completion": to_completion(one),
        "images": [open_image(ref) for ref in one.images],
    }
    output = DataCollatorForVisionLanguageModeling(nano, max_length=None, completion_only_loss=True)([batch])
    trained = int((output["labels"] != -100).sum())
    assert (row.prompt_tokens + row.solution_tokens, row.solution_tokens) == (output["input_ids"].shape[1], trained)


def test_the_pixel_budget_is_the_processors(drawn: Callable[..., bytes], data_config: Config) -> None:
    small, large = (load_processor(ModelConfig(image_max_pixels=pixels)) for pixels in (64 * 64, 512 * 512))
    one = example(drawn((512, 512)))
    few, many = (counted(one, processor, data_config()).image_tokens for processor in (small, large))
    assert few < many
    assert few == sum(token == small.image_token_id for token in processed(small, one))


def test_rows_that_are_too_long_are_dropped_whole_and_named(nano: Any, drawn: Callable[..., bytes], data_config: Config) -> None:
    short, long = example(drawn(), id="short"), example(drawn(), text="word " * 200, id="long")
    length = counted(short, nano, data_config()).prompt_tokens
    kept, ledger = audit([short, long], nano, data_config(max_prompt_length=length), with_solution=False)
    assert (kept, [drop.reason for drop in ledger.drops]) == ([short], ["longer than max_prompt_length"])
    assert ledger.drops[0].id == "long" and f"at most {length}" in ledger.drops[0].detail
    assert audit([short], nano, data_config(max_prompt_length=length - 1), with_solution=False)[0] == []


def test_max_length_counts_prompt_and_solution_to_the_token(nano: Any, drawn: Callable[..., bytes], data_config: Config) -> None:
    one = example(drawn())
    row = counted(one, nano, data_config(), with_solution=True)
    total = row.prompt_tokens + row.solution_tokens
    assert audit([one], nano, data_config(max_length=total), with_solution=True)[0] == [one]
    _, ledger = audit([one], nano, data_config(max_length=total - 1), with_solution=True)
    assert ledger.drops[0].reason == "longer than max_length"
    assert ledger.drops[0].detail.startswith(f"{total} tokens")


def test_rl_drops_rows_whose_answer_nothing_could_be_judged_by_and_sft_keeps_them(nano: Any, data_config: Config) -> None:
    one = dataclasses.replace(example(), answer="F", answer_type="choice", choices=("red", "blue"))
    kept, ledger = audit([one], nano, data_config(), with_solution=False)
    assert (kept, ledger.drops[0].reason) == ([], "answer cannot be judged")
    assert "neither an option letter (A, B) nor the text of an option" in ledger.drops[0].detail
    assert audit([one], nano, data_config(), with_solution=True)[0] == [one]


def test_sft_drops_rows_without_a_solution_and_rl_keeps_them(nano: Any, data_config: Config) -> None:
    one = example(solution=None)
    assert audit([one], nano, data_config(), with_solution=False)[0] == [one]
    assert audit([one], nano, data_config(), with_solution=True)[1].drops[0].reason == "no solution"


def test_a_damaged_image_drops_its_rows_with_the_cause(nano: Any, drawn: Callable[..., bytes], data_config: Config, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(drawn()[:60])
    bad = replace(example(b"x", id="bad"), images=(ImageRef(path=str(tmp_path / "cut.png")),))
    kept, ledger = audit([bad, example(drawn(), id="ok")], nano, data_config(), with_solution=False)
    assert [one.id for one in kept] == ["ok"]
    assert ledger.drops[0].reason == "image cannot be opened"
    assert "cut.png" in ledger.drops[0].detail


def test_an_image_the_processor_refuses_drops_its_row(nano: Any, drawn: Callable[..., bytes], data_config: Config) -> None:
    rows = [example(drawn((30 + n, 30)), id=str(n)) for n in range(6)] + [example(drawn((3000, 10)), id="thin")]
    _, ledger = audit(rows, nano, data_config(), with_solution=False)
    assert [(drop.id, drop.reason) for drop in ledger.drops] == [("thin", "refused by the processor")]


@pytest.mark.parametrize("text", ["<|image_pad|>", "a<|im_end|>b", "<|vision_start|>"])
def test_a_special_token_written_in_a_text_drops_its_row(text: str, nano: Any, data_config: Config) -> None:
    for one, with_solution in ((example(text=text), False), (example(solution=text), True)):
        _, ledger = audit([one], nano, data_config(), with_solution=with_solution)
        assert [drop.reason for drop in ledger.drops] == ["special token in the text"]


def test_workers_measure_the_same_as_this_process(nano: Any, drawn: Callable[..., bytes], data_config: Config) -> None:
    rows = [example(drawn((40 + n, 30)), id=str(n)) for n in range(40)] + [example(b"\x89PNG\r\n\x1a\nbroken", id="bad")]
    alone, pooled = (audit(rows, nano, data_config(num_workers=number), with_solution=False)[1] for number in (0, 1))
    assert (alone.kept, alone.drops) == (pooled.kept, pooled.drops)
    assert len(pooled.kept) == 40


def test_quantiles_are_of_the_kept_rows(nano: Any, data_config: Config) -> None:
    rows = [example(text=" 1" * number, id=str(number)) for number in range(1, 11)]
    _, ledger = audit(rows, nano, data_config(), with_solution=False)
    lengths = [row.prompt_tokens for row in ledger.kept]
    assert ledger.statistics["quantiles"]["prompt_tokens"] == {  # type: ignore[index]
        **{"min": lengths[0], "p50": lengths[4], "p90": lengths[8], "p99": lengths[9], "max": lengths[9]},
    }
    assert ledger.statistics["total_prompt_tokens"] == sum(length or 0 for length in lengths)


def test_reading_and_audit_share_one_limit(nano: Any, tmp_path: Path) -> None:
    rows = [f'{{"prompt": "{"long " * (100 if n == 1 else 1)}"}}' for n in range(1, 10)] + ['{"prompt": "<image>"}']
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    data = DataConfig(train=[SourceConfig(path=str(tmp_path / "rows.jsonl"))], max_prompt_length=60, max_drop_share=0.15)
    with pytest.raises(DataError, match=r"2 of 10 rows are dropped \(20\.00%\)"):
        prepare(data.train, nano, data=data, with_solution=False, base_dir=None)
    kept, ledger = prepare(data.train, nano, data=data.model_copy(update={"max_drop_share": 0.2}), with_solution=False, base_dir=None)
    assert (len(kept), ledger.num_kept, sorted(ledger.by_reason())) == (
        8,
        8,
        ["longer than max_prompt_length", "markers and images differ"],
    )


def test_progress_is_told_to_the_end(nano: Any, drawn: Callable[..., bytes], data_config: Config) -> None:
    said: list[Sequence[object]] = []
    audit(
        [example(drawn(), id=str(n)) for n in range(20)],
        nano,
        data_config(),
        with_solution=False,
        progress=lambda *event: said.append(event),
    )
    assert ("opening images", 1, 1) in said
    assert ("counting tokens", 20, 20) in said


def test_real_rows_count_as_the_processor_counts_them(fixtures: Path, nano: Any, data_config: Config) -> None:
    sources = [SourceConfig(path=str(fixtures / name / "test.jsonl")) for name in ("mathvision", "puzzlevqa")]
    examples, _ = collect(sources, base_dir=None)
    kept, ledger = audit(examples, nano, data_config(instruction="Think."), with_solution=False)
    assert len(kept) == 8
    for one, row in zip(kept, ledger.kept, strict=True):
        assert row.prompt_tokens == len(processed(nano, one, instruction="Think."))


def test_header_sizes_equal_decoded_sizes(nano: Any, drawn: Callable[..., bytes], data_config: Config) -> None:
    rows = [example(drawn((40 + n, 30)), id=str(n)) for n in range(3)]
    ledgers: list[Ledger] = [audit(rows, nano, data_config(), with_solution=False, decode_images=decode)[1] for decode in (True, False)]
    assert ledgers[0].kept == ledgers[1].kept
    assert Image.MAX_IMAGE_PIXELS == 89478485
