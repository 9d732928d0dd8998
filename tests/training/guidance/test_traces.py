"""Traces are what SFT trains on, token by token, and nothing that cannot be learnt becomes one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import ProcessorMixin
from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

from vlmpost.config.guidance import TracesConfig
from vlmpost.config.schema import ModelConfig
from vlmpost.data.write import row_of
from vlmpost.errors import DataError
from vlmpost.models.completion import end_token_ids
from vlmpost.models.families import FAMILIES
from vlmpost.models.loader import load, load_processor
from vlmpost.records import IMAGE, Example, Message
from vlmpost.training.dataset import sft_dataset
from vlmpost.training.guidance.traces import TraceStore

TinyModel = Callable[[str], Path]
SOLUTION = "<think> 3 + 4 = 7 </think>\nThe answer is \\boxed{7}."


def question(name: str, solution: str | None = SOLUTION, **meta: object) -> Example:
    return Example(id=name, task="sums", prompt=(Message("user", ("3 + 4 = ?",)),), answer="7", solution=solution, meta=meta)


def written(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def processor(tiny_model: TinyModel) -> ProcessorMixin:
    return load_processor(ModelConfig(path=str(tiny_model("qwen2_5_vl")), device="cpu"))


@pytest.fixture
def store(processor: ProcessorMixin) -> Callable[..., TraceStore]:
    def make(examples: Sequence[Example], *, max_tokens: int | None = None, base_dir: Path | None = None, **keys: object) -> TraceStore:
        return TraceStore(TracesConfig(**keys), examples, processor=processor, max_tokens=max_tokens, base_dir=base_dir)

    return make


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_trace_is_what_sft_trains_on_up_to_the_end_of_turn(name: str, tiny_model: TinyModel) -> None:
    processor = load_processor(ModelConfig(path=str(tiny_model(name)), device="cpu"))
    example = question("q1", "  " + SOLUTION + "\n")
    batch = DataCollatorForVisionLanguageModeling(processor, completion_only_loss=True)([sft_dataset([example], instruction=None)[0]])
    trained = [token for token in batch["labels"][0].tolist() if token != -100]
    end = processor.tokenizer.eos_token_id
    trained = trained[: trained.index(end) + 1]  # what follows the end of the turn is the template's, and no rollout holds it
    trace = TraceStore(TracesConfig(), [example], processor=processor, max_tokens=None).trace("q1", seed=0)
    assert trace is not None and list(trace.token_ids) == trained
    assert trace.text.strip() == SOLUTION and trace.token_ids.count(end) == 1


def test_sampling_of_the_shipped_model_stops_at_the_token_that_its_traces_end_with() -> None:
    loaded = load(ModelConfig(device="cpu"), purpose="evaluation")
    trace = TraceStore(TracesConfig(), [question("q1")], processor=loaded.processor, max_tokens=None).trace("q1", seed=0)
    ends = end_token_ids(loaded.model, loaded.processor.tokenizer)
    assert trace is not None and trace.token_ids[-1] in ends
    assert not set(trace.token_ids[:-1]) & set(ends)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_images_and_instructions_of_the_prompt_are_no_part_of_a_trace(name: str, tiny_model: TinyModel) -> None:
    processor = load_processor(ModelConfig(path=str(tiny_model(name)), device="cpu"))
    prompt = (Message("system", ("Be brief.",)), Message("user", (IMAGE, "3 + 4 = ?")))
    pictured = Example(id="q1", task="sums", prompt=prompt, solution=SOLUTION)
    stores = [TraceStore(TracesConfig(), [one], processor=processor, max_tokens=None) for one in (question("q1"), pictured)]
    assert stores[0].trace("q1", seed=0) == stores[1].trace("q1", seed=0)


def test_only_questions_with_a_solution_have_a_trace(store) -> None:
    found = store([question("q1"), question("q2", None), question("q0")], missing="unguided")
    assert found.ids == ("q1", "q0")
    assert found.trace("q2", seed=0) is None


def test_a_question_without_a_trace_is_an_error_that_counts_and_names(store) -> None:
    with pytest.raises(DataError, match=r"2 of 3 training questions have no trace \(first: 'q2'\).*missing: unguided"):
        store([question("q1"), question("q2", None), question("q3", None)])


def test_no_trace_at_all_is_an_error_since_nothing_could_be_guided(store) -> None:
    with pytest.raises(DataError, match="None of the 2 training questions has a trace, so nothing can be guided"):
        store([question("q1", None), question("q2", None)], missing="unguided")
    with pytest.raises(DataError, match="guided; 1 traces are longer than"):
        store([question("q1")], missing="unguided", max_length=3)


def test_missing_traces_are_counted_in_the_log(store, caplog) -> None:
    with caplog.at_level(logging.INFO):
        store([question("q1"), question("q2", None)], missing="unguided")
    assert "1 of 2 training questions have no trace and are never guided" in caplog.text


@pytest.mark.parametrize(
    ("example", "fault"),
    [
        (question("q1", "  \n"), "is empty"),
        (question("q1", curation={"truncated": True}), "was cut by its token budget"),
        (question("q1", "First 7.<|im_end|> Then 8."), "holds an end-of-turn token before its end"),
        (question("q1", "See <|image_pad|>."), "holds a token that stands for an image or a video"),
        (question("q1", "See <|video_pad|>."), "holds a token that stands for an image or a video"),
    ],
    ids=["empty", "truncated", "ends twice", "image", "video"],
)
def test_what_cannot_be_learnt_is_refused_by_name_or_left_unguided(store, caplog, example: Example, fault: str) -> None:
    with pytest.raises(DataError, match=f"1 traces cannot be used. The first: data.train: the trace of q1 {fault}"):
        store([example, question("q2")])
    with caplog.at_level(logging.WARNING):
        found = store([example, question("q2")], missing="unguided")
    assert found.ids == ("q2",) and fault in caplog.text


def test_a_template_that_does_not_close_the_last_turn_gives_no_trace(tiny_model: TinyModel) -> None:
    open_ended = load_processor(ModelConfig(path=str(tiny_model("llava_onevision")), device="cpu"))
    open_ended.chat_template = open_ended.chat_template.replace(
        "<|im_end|>\n", "{% if not loop.last or message['role'] == 'user' %}<|im_end|>\n{% endif %}"
    )
    for solution in (SOLUTION, "First 7.<|im_end|> Then 8."):
        with pytest.raises(DataError, match="the trace of q1 does not end with the end-of-turn token"):
            TraceStore(TracesConfig(), [question("q1", solution)], processor=open_ended, max_tokens=None)


def test_a_template_that_opens_replies_otherwise_than_it_renders_them_is_refused(tiny_model: TinyModel) -> None:
    thinking = load_processor(ModelConfig(path=str(tiny_model("llava_onevision")), device="cpu"))
    thinking.chat_template = thinking.chat_template.replace(
        "<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>{% endif %}"
    )
    TraceStore(TracesConfig(), [question("q1", "<think>7</think> 7")], processor=thinking, max_tokens=None)
    with pytest.raises(DataError, match="the trace of q1 is rendered by the chat template otherwise"):
        TraceStore(TracesConfig(), [question("q1", "It is 7.")], processor=thinking, max_tokens=None)


def test_a_file_gives_one_or_several_traces_by_question(store, tmp_path: Path) -> None:
    written(tmp_path / "t.jsonl", [{"id": "a", "solutions": ["It is certainly 7.", "7"]}, {"id": 5, "solution": "Five."}])
    examples = [question("5", "not this"), question("a", "nor this")]
    found = store(examples, path="t.jsonl", base_dir=tmp_path)
    assert found.ids == ("5", "a")
    assert [found.trace(name, seed=0).text for name in ("5", "a")] == ["Five.", "7"]


def test_rows_as_curation_writes_them_add_up_by_their_question(store, tmp_path: Path) -> None:
    asked = question("a")
    kept = [
        replace(asked, id=f"a/{sample}", solution=text, meta={"curation": {"question_id": "a", "truncated": False}})
        for sample, text in enumerate(["It is certainly 7.", "7", "It is 7."])
    ]
    rows = [row_of(example, [], layout="jsonl") for example in kept]
    written(tmp_path / "train.jsonl", rows)
    by_choice = {
        choose: store([question("a", None)], path=str(tmp_path / "train.jsonl"), choose=choose).trace("a", seed=0).text
        for choose in ("shortest", "longest", "first")
    }
    assert by_choice == {"shortest": "7", "longest": "It is certainly 7.", "first": "It is certainly 7."}


def test_chance_chooses_by_the_seed_alone(store, tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", [{"id": "a", "solutions": ["one", "two", "three"]}])
    found = store([question("a", None)], path=str(path), choose="random")
    drawn = [found.trace("a", seed=seed).text for seed in range(60)]
    again = store([question("a", None)], path=str(path), choose="random")
    assert drawn == [again.trace("a", seed=seed).text for seed in range(60)]
    # Each of three is drawn 20 times of 60, with a standard deviation of sqrt(60 x 1/3 x 2/3) = 3.7.
    assert all(5 <= drawn.count(text) <= 35 for text in ("one", "two", "three"))


def test_a_truncated_row_of_a_file_is_refused_with_its_line(store, tmp_path: Path) -> None:
    rows = [{"id": "a", "solution": "7"}, {"id": "b", "solution": "It is", "meta": {"curation": {"question_id": "b", "truncated": True}}}]
    path = written(tmp_path / "t.jsonl", rows)
    with pytest.raises(DataError, match=r"t\.jsonl:2: the trace of b was cut by its token budget"):
        store([question("a", None), question("b", None)], path=str(path))


def test_ids_that_no_question_has_are_counted_and_all_of_them_are_an_error(store, tmp_path: Path, caplog) -> None:
    path = written(tmp_path / "t.jsonl", [{"id": name, "solution": "7"} for name in ("a", "x", "y")])
    with caplog.at_level(logging.WARNING):
        assert store([question("a", None)], path=str(path)).ids == ("a",)
    assert "2 of 3 questions are no training questions (first: 'x')" in caplog.text
    with pytest.raises(DataError, match=r"none of its 3 questions \(first: 'a'\) is one of the 1 training questions"):
        store([question("q", None)], path=str(path), missing="unguided")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"solution": "7"}, "expected an `id`, got None"),
        ({"id": True, "solution": "7"}, "expected an `id`, got True"),
        ({"id": "a"}, "expected one of `solution` and `solutions`"),
        ({"id": "a", "solution": "7", "solutions": ["7"]}, "expected one of `solution` and `solutions`"),
        ({"id": "a", "solution": 7}, "`solution` is a text"),
        ({"id": "a", "solutions": "7"}, "`solutions` a list of texts"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(store, tmp_path: Path, row: dict[str, object], fault: str) -> None:
    path = written(tmp_path / "t.jsonl", [{"id": "b", "solution": "7"}, row])
    with pytest.raises(DataError, match=rf"t\.jsonl:2: .*{fault}"):
        store([question("a", None), question("b", None)], path=str(path), missing="unguided")


def test_too_long_traces_count_as_missing_and_are_never_cut(store, tmp_path: Path, caplog) -> None:
    short, long = "7", "It is certainly and without any doubt 7."
    path = written(tmp_path / "t.jsonl", [{"id": "a", "solutions": [long, short]}, {"id": "b", "solution": long}])
    examples = [question("a", None), question("b", None)]
    keys: dict[str, object] = {"path": str(path), "choose": "longest", "max_length": 5}
    with caplog.at_level(logging.INFO):
        found = store(examples, missing="unguided", **keys)
    assert found.ids == ("a",) and found.trace("a", seed=0).text == short
    assert (
        "1 of 2 training questions have no trace" in caplog.text and "2 traces are longer than guidance.traces.max_length 5" in caplog.text
    )
    with pytest.raises(DataError, match=r"1 of 2 training questions have no trace \(first: 'b'; 2 traces are longer"):
        store(examples, **keys)


def test_hints_must_fit_the_completion_budget(store) -> None:
    examples = [question("a", "7"), question("b")]
    num_tokens = len(store(examples).trace("b", seed=0).token_ids)
    assert store(examples, max_tokens=num_tokens).ids == ("a", "b")
    with pytest.raises(
        DataError, match=rf"trace of 'b' has {num_tokens} tokens.*generation.max_completion_length, which is {num_tokens - 1}"
    ):
        store(examples, max_tokens=num_tokens - 1)


def test_the_hash_tells_every_change_of_a_trace(store) -> None:
    first = store([question("a", "7"), question("b", "8")])
    assert first.hash == store([question("a", "7"), question("b", "8")]).hash
    others = [[question("a", "7"), question("b", "9")], [question("a", "7")], [question("a", "7"), question("c", "8")]]
    assert first.hash not in {store(examples).hash for examples in others}
    assert len(first.hash) == 64
