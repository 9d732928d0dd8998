from __future__ import annotations

import io

from PIL import Image

from vlmpost.records import IMAGE, Example, ImageRef, Message, Rollout, Score, Step, Verdict
from vlmpost.training.rollouts.batch import (
    RolloutBatch,
    episode_figures,
    figures,
    image_path,
    judge_all,
    make_rollouts,
    played,
    rollout_rows,
)


def _png():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG")
    return buffer.getvalue()


def _example(number=1, answer="7", image=None):
    images = () if image is None else (image,)
    content = ((IMAGE,) if images else ()) + ("How many?",)
    return Example(id=f"q{number}", task="t", prompt=(Message("user", content),), images=images, answer=answer, answer_type="number")


def _batch():
    texts = [r"\boxed{7}", r"\boxed{8}", "I do not say.", "free"]
    examples = [_example(1), _example(1), _example(2), _example(3, answer=None)]
    rollouts = make_rollouts(examples, texts=texts, token_ids=[[5, 2], [5, 6, 2], [5, 5], [9]], samples=[0, 1, 0, 1], stop_ids={2})
    scores = [Score(value, {"accuracy": value}) for value in (1.0, 0.0, 0.0, None)]
    return RolloutBatch(rollouts, scores, judge_all(rollouts), (0.5, -0.5, 0.0, 0.0))


def test_a_rollout_without_an_end_token_was_cut():
    assert [rollout.stop_reason for rollout in _batch().rollouts] == ["stop", "stop", "length", "length"]


def test_figures_are_sums_and_counts_that_add_up():
    found = figures(_batch(), image_token_ids={9})
    assert found == {
        "accuracy": (1.0, 3.0),
        "hinted_accuracy": (0.0, 0.0),
        "parse_failure_share": (1.0, 3.0),  # "I do not say."
        "length_right_tokens": (2.0, 1.0),
        "length_wrong_tokens": (5.0, 2.0),  # 3 + 2
        "image_token_share": (1.0, 4.0),
    }


def test_a_hinted_rollout_does_not_count_as_what_the_policy_can_do():
    hinted = Rollout(_example(), "The answer is 3.", (1, 2), "stop", hint_share=0.5)
    plain = Rollout(_example(), "The answer is 3.", (1, 2), "stop")
    right, wrong = Verdict("correct", "3", "phrase"), Verdict("wrong", "3", "phrase")
    found = figures(RolloutBatch([hinted, plain], [Score(1.0, {})] * 2, [right, wrong]), image_token_ids=())
    assert found["accuracy"] == (0.0, 1.0)
    assert found["hinted_accuracy"] == (1.0, 1.0)
    assert found["length_right_tokens"] == (0.0, 0.0)


def test_an_unreadable_answer_counts_as_a_parse_failure():
    rollout = Rollout(_example(), "<think> never closed", (1,), "length")
    batch = RolloutBatch([rollout], [Score(0.0, {})], [Verdict("unparsed", None, "unclosed_think")])
    assert figures(batch, image_token_ids=())["parse_failure_share"] == (1.0, 1.0)


def test_figures_have_the_same_names_for_an_empty_share():
    assert list(figures(RolloutBatch([], [], []), image_token_ids=())) == list(figures(_batch(), image_token_ids=()))


def test_rows_refer_to_files_and_memory_images_are_written_once(tmp_path):
    data = _png()
    stored, drawn = ImageRef(path="/pictures/a.png"), ImageRef(data=data)
    images_dir = tmp_path / "rollout_images"
    assert image_path(stored, images_dir=images_dir) == "/pictures/a.png"
    assert not images_dir.exists()
    first = image_path(drawn, images_dir=images_dir)
    written = tmp_path / first
    assert written.read_bytes() == data
    before = written.stat().st_mtime_ns
    assert image_path(drawn, images_dir=images_dir) == first
    assert written.stat().st_mtime_ns == before


def test_a_row_holds_every_part_and_no_row_goes_past_the_limit(tmp_path):
    rows = list(rollout_rows(_batch(), step=3, limit=2, images_dir=tmp_path))
    assert len(rows) == 2
    assert rows[1] == {
        "step": 3,
        "id": "q1",
        "task": "t",
        "level": None,
        "sample": 1,
        "prompt": [{"role": "user", "content": "How many?"}],
        "images": [],
        "answer": "7",
        "text": r"\boxed{8}",
        "num_tokens": 3,
        "stop_reason": "stop",
        "reward": 0.0,
        "parts": {"accuracy": 0.0},
        "advantage": -0.5,
        "outcome": "wrong",
        "extracted": "8",
    }


def test_batches_of_processes_join_in_their_order():
    batch = _batch()
    joined = RolloutBatch.joined([batch.first(1), batch.first(2)])
    assert [rollout.text for rollout in joined.rollouts] == [r"\boxed{7}", r"\boxed{7}", r"\boxed{8}"]
    assert joined.advantages == [0.5, 0.5, -0.5]


def _played_batch():
    """Two episodes of one hand: solved at the second attempt, and not at all; the cards were misread once."""
    example = Example(id="hand", task="general_points", prompt=(Message("user", ("Make 24.",)),))
    missed, wrong, right = (
        Step("a", "INCORRECT_VISION", -1.5, correct=False, recognised=False, feedback="Look again."),
        Step("b", "NO_SOLUTION", -1.0, correct=False, recognised=True, feedback="Try again."),
        Step("c", "CORRECT_SOLUTION", 5.0, correct=True, recognised=True, terminated=True),
    )
    rollouts = make_rollouts([example, example], texts=["ac", "bb"], token_ids=[[1, 9, 2], [3, 9, 4]], samples=[0, 1], stop_ids={2, 4})
    rollouts = played(rollouts, replies=[[[1], [1, 2]], [[3], [4, 4]]], steps=[(missed, right), (wrong, wrong)])
    return RolloutBatch(rollouts, [Score(3.5, {}), Score(-2.0, {})], judge_all(rollouts))


def test_a_played_rollout_holds_what_was_sampled_and_the_last_reply_as_its_text():
    first, _ = _played_batch().rollouts
    assert (first.text, first.token_ids, first.reply_lengths) == ("c", (1, 1, 2), (1, 2))
    assert [step.outcome for step in first.steps] == ["INCORRECT_VISION", "CORRECT_SOLUTION"]


def test_episodes_are_counted_by_success_attempt_and_recognition():
    assert episode_figures(_played_batch()) == {
        "success": (1.0, 2.0),
        "first_success": (0.0, 2.0),
        "step_accuracy": (1.0, 4.0),
        "recognition": (3.0, 4.0),
        "replies": (4.0, 2.0),
    }


def test_rows_of_episodes_say_the_verifiers_class_and_keep_every_reply(tmp_path):
    solved, unsolved = rollout_rows(_played_batch(), step=1, limit=2, images_dir=tmp_path)
    assert (solved["outcome"], unsolved["outcome"]) == ("correct", "no_solution")
    assert [step["reward"] for step in solved["steps"]] == [-1.5, 5.0]
    assert solved["steps"][0]["feedback"] == "Look again."
