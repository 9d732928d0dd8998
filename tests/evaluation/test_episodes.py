"""Episodes side by side: what is asked, with which tokens and seeds, and what the records say of hand-made transcripts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmpost import rewards, tasks
from vlmpost.config.schema import EpisodeConfig, GenerationConfig, ModelConfig, RewardTermConfig
from vlmpost.errors import ConfigError, DataError, RunError
from vlmpost.evaluation import EvalResult, summarize
from vlmpost.evaluation.episodes import Played, Seat, play, row_of
from vlmpost.evaluation.players import Ask, check_context
from vlmpost.evaluation.results import Records
from vlmpost.evaluation.runner import evaluate, opener, played_tasks
from vlmpost.models.completion import Completion
from vlmpost.models.sampling import row_seed
from vlmpost.records import Example, Message
from vlmpost.tasks import Task

Scripted = Callable[..., Any]
SEED = 7


def door(name: str, *keys: int, colour: str = "red") -> Example:
    prompt = (Message("user", (f"{colour} door {keys[0]}",)),)
    return Example(name, "doors", prompt, meta={"keys": list(keys), "colour": colour, "place": 0})


def played(
    player: object, task: Task, examples: list[Example], *, attempts: int, table: str = "paper", batch_size: int = 64
) -> list[Played]:
    opened = opener({example.id: task for example in examples}, episode=EpisodeConfig(verify_iterations=attempts, rewards=table))
    seats = [Seat(example, 0) for example in examples]
    return [one for over in play(player, seats, opened=opened, seed=SEED, batch_size=batch_size) for one in over]  # type: ignore[arg-type]


def result_of(episodes: list[Played]) -> EvalResult:
    return summarize([row_of(one, None) for one in episodes], name="x", settings={})


TRANSCRIPTS = {
    "at_once": ["red 1"],
    "second": ["red 9", "red 2"],
    "never": ["blue 3", "red 9", "nothing"],
    "route": ["red 4", "blue 5", "red 5"],
}
"""Three attempts each: right at once; right at the second; three misses (colour, key, colour); two doors, a misreading at the second."""
EXAMPLES = [door("at_once", 1), door("second", 2), door("never", 3), door("route", 4, 5)]


def test_hand_made_transcripts_have_the_figures_worked_out_by_hand(script: Scripted, doors: Task) -> None:
    result = result_of(played(script(TRANSCRIPTS), doors, EXAMPLES, attempts=3))
    assert result.counts == {"at_once": (1, 1), "second": (1, 1), "never": (0, 1), "route": (1, 1)}
    assert result.accuracy is not None
    assert result.accuracy.mean == 3 / 4
    figures = result.episodes
    assert figures is not None
    # Right: 1 of 1, 1 of 2, 0 of 3, 2 of 3 = 4 of 9. Recognised: 1/1, 2/2, 1/3, 2/3 = 6 of 9.
    assert (figures.num_episodes, figures.num_replies, figures.mean_replies) == (4, 9, 9 / 4)
    assert figures.per_step.mean == 4 / 9
    assert figures.step_counts == {"at_once": (1, 1), "second": (1, 2), "never": (0, 3), "route": (2, 3)}
    assert figures.recognition is not None
    assert figures.recognition.mean == 6 / 9
    assert figures.outcome_shares == {"CORRECT_SOLUTION": 4 / 9, "INCORRECT_VISION": 3 / 9, "NO_SOLUTION": 2 / 9}
    assert figures.violation_shares == {"COLOUR": 3 / 9, "KEY": 2 / 9}, "an offence charged twice in a reply counts once"


def test_under_repo_one_more_reply_is_asked_for_and_counts_as_wrong_whatever_it_says(script: Scripted, doors: Task) -> None:
    right_too_late = {"late": ["red 9", "red 9", "red 3"]}
    [episode] = played(script(right_too_late), doors, [door("late", 3)], attempts=2, table="repo")
    assert [step.outcome for step in episode.steps] == ["NO_SOLUTION", "NO_SOLUTION", "STEP_LIMIT"]
    result = result_of([episode])
    assert result.counts == {"late": (0, 1)}
    assert result.episodes is not None
    assert (result.episodes.per_step.mean, result.episodes.num_replies) == (0.0, 3)
    # The ungraded reply was not looked at: recognised 2 of 2.
    assert result.episodes.recognition_counts == {"late": (2, 2)}
    [graded] = played(script(right_too_late), doors, [door("late", 3)], attempts=2)
    assert [step.outcome for step in graded.steps] == ["NO_SOLUTION", "NO_SOLUTION"], "the paper's table ends with the last attempt"


def test_with_one_attempt_each_question_is_asked_once(script: Scripted, doors: Task) -> None:
    result = result_of(played(script(TRANSCRIPTS), doors, EXAMPLES[:3], attempts=1))
    assert result.episodes is not None
    assert result.episodes.num_replies == 3
    assert result.episodes.recognition is not None
    assert result.episodes.recognition.mean == pytest.approx(2 / 3), "verification off: 'never' reported blue"


def test_the_chat_grows_by_sampled_tokens_and_restarts_with_the_next_state(script: Scripted, doors: Task) -> None:
    player = script({"route": ["red 8", "red 4", "red 5"]})
    [episode] = played(player, doors, [door("route", 4, 5)], attempts=2)
    first, second, third = (asks[0] for asks in player.asks)
    reply, feedback = tuple(map(ord, "red 8")), tuple(-ord(letter) for letter in "again")
    assert (first.history, second.history, third.history) == ((), (*reply, *feedback), ())
    assert [ask.example.prompt[-1].text for ask in (first, second, third)] == ["red door 4", "red door 4", "red door 5"]
    assert [step.state for step in episode.steps] == [0, 0, 1]
    assert episode.rollout.token_ids == tuple(map(ord, "red 8red 4red 5"))
    assert episode.rollout.reply_lengths == (5, 5, 5)
    assert (episode.rollout.text, episode.success) == ("red 5", True)


def test_each_reply_has_a_seed_of_its_own_and_the_first_that_of_a_question_asked_once(script: Scripted, doors: Task) -> None:
    player = script({"route": ["red 8", "red 4", "red 8", "red 5"]})
    played(player, doors, [door("route", 4, 5)], attempts=2)
    purposes = ["eval", "eval/turn1/state0", "eval/turn0/state1", "eval/turn1/state1"]
    assert [asks[0].seed for asks in player.asks] == [row_seed(SEED, purpose, "route", 0) for purpose in purposes]
    assert len({asks[0].seed for asks in player.asks}) == 4


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_neither_records_nor_asks_depend_on_the_batch(batch_size: int, script: Scripted, doors: Task) -> None:
    player, reference = script(TRANSCRIPTS), script(TRANSCRIPTS)
    rows = {one.seat.example.id: row_of(one, None) for one in played(player, doors, EXAMPLES, attempts=3, batch_size=batch_size)}
    assert rows == {one.seat.example.id: row_of(one, None) for one in played(reference, doors, EXAMPLES, attempts=3)}
    assert max(len(asks) for asks in player.asks) == min(batch_size, 4)
    assert {(ask.seed, ask.history) for asks in player.asks for ask in asks} == {
        (ask.seed, ask.history) for asks in reference.asks for ask in asks
    }
    if batch_size == 3:
        # All prompts are of one length, so they come in order: 'route' takes the place of 'at_once'; 'second' ends after two batches,
        # 'never' after three, 'route' after four.
        assert [len(asks) for asks in player.asks] == [3, 3, 2, 1]


def test_a_record_holds_each_reply_with_its_own_tokens_and_end(script: Scripted, doors: Task) -> None:
    [episode] = played(script({"second": ["red 99", "red 2"]}, cut=("red 99",)), doors, [door("second", 2)], attempts=3)
    row = row_of(episode, None)
    assert (row["outcome"], row["success"], row["num_replies"], row["extracted"]) == ("correct", True, 2, "2")
    assert (row["num_tokens"], row["stop_reason"], row["answer"]) == (6 + 5, "stop", None)
    steps = row["steps"]
    assert isinstance(steps, list)
    assert [(step["text"], step["outcome"], step["reward"], step["num_tokens"], step["stop_reason"]) for step in steps] == [
        ("red 99", "NO_SOLUTION", -1.0, 6, "length"),
        ("red 2", "CORRECT_SOLUTION", 5.0, 5, "stop"),
    ]
    assert [(step["terminated"], step["truncated"], step["feedback"]) for step in steps] == [(False, False, "again"), (True, False, None)]
    assert result_of([episode]).truncated_share == 1 / 2, "one of two replies was cut"


def test_an_episode_is_scored_by_the_rewards_with_all_its_replies(script: Scripted, doors: Task) -> None:
    built = rewards.build([RewardTermConfig(name="verifier")])
    [episode] = played(script({"second": ["red 9", "red 2"]}), doors, [door("second", 2)], attempts=3)
    assert row_of(episode, built)["score"] == -1.0 + 5.0


def test_a_question_of_no_task_is_asked_once_and_judged_by_its_answer(script: Scripted) -> None:
    plain = Example("sum", "sums", (Message("user", ("3 + 4?",)),), answer="7", answer_type="number")
    assert played_tasks([plain], all_of_them=True) == {}
    seats = [Seat(plain, 0)]
    [[one]] = list(play(script({"sum": [r"\boxed{7}"]}), seats, opened=lambda example: None, seed=SEED, batch_size=8))
    row = row_of(one, None)
    assert (row["outcome"], row["extracted"]) == ("correct", "7")
    assert "steps" not in row
    assert summarize([row], name="x", settings={}).episodes is None


def test_only_what_nothing_else_can_judge_is_played_unasked(doors: Task) -> None:
    counting = tasks.make("counting", split="test", index=0, difficulty=1)
    examples = [counting, door("own", 1), Example("none", "unknown", (Message("user", ("?",)),))]
    address = doors.address
    own = Example("own", address, examples[1].prompt, meta=examples[1].meta)
    assert set(played_tasks([counting, own], all_of_them=False, own_tasks=[address])) == {"own"}
    assert set(played_tasks([counting, own], all_of_them=True, own_tasks=[address])) == {counting.id, "own"}
    assert played_tasks([own], all_of_them=True) == {}, "the word of a stored row runs no code"
    with pytest.raises(ConfigError, match=r"no reward table 'house'\. It has: paper, repo"):
        opener({"own": doors}, episode=EpisodeConfig(rewards="house"))


def test_a_chat_that_outgrows_the_model_is_named() -> None:
    ask = Ask(door("long", 1), 0)
    fits = Completion((1,) * 10, "x", "stop", num_prompt_tokens=90)
    check_context([ask], [fits], context=100)
    with pytest.raises(DataError, match="Example 'long': the chat with its last reply has 100 tokens, and the model knows 99 positions"):
        check_context([ask], [fits], context=99)


@pytest.fixture(scope="module")
def nano():
    from vlmpost.models.loader import load

    return load(ModelConfig(path="nano", device="cpu"), purpose="eval")


ASKED: dict[str, Any] = {"generation": GenerationConfig(max_completion_length=8), "num_samples": 1, "seed": SEED}


def of_file(example: Example, task: Task) -> Example:
    return Example(example.id, task.address, example.prompt, meta=example.meta)


@pytest.mark.train
def test_records_are_continued_and_tell_other_settings_apart(nano, script: Scripted, doors: Task, tmp_path: Path) -> None:
    examples = [of_file(example, doors) for example in EXAMPLES]
    three = {**ASKED, "episode": EpisodeConfig(verify_iterations=3), "own_tasks": [doors.address]}
    whole = evaluate(nano, examples, **three, out_path=tmp_path / "whole", player=script(TRANSCRIPTS))
    assert whole.accuracy is not None
    assert whole.accuracy.mean == 3 / 4
    parts = tmp_path / "parts" / "predictions.jsonl"
    evaluate(nano, examples, **three, out_path=parts.parent, player=script(TRANSCRIPTS), batch_size=1)
    parts.write_text("".join(parts.read_text().splitlines(keepends=True)[:2]))
    player = script(TRANSCRIPTS)
    again = evaluate(nano, examples, **three, out_path=parts.parent, player=player)
    assert len({ask.example.id for asks in player.asks for ask in asks}) == 2, "two of four episodes were there"
    assert again.to_json()["episodes"] == whole.to_json()["episodes"]
    with pytest.raises(RunError, match="verify_iterations was 3, is 5"):
        evaluate(nano, examples, **{**three, "episode": EpisodeConfig(verify_iterations=5)}, out_path=parts.parent)
    other_key = [of_file(door("at_once", 8), doors), *examples[1:]]
    with pytest.raises(RunError, match="data_hash"):
        evaluate(nano, other_key, **three, out_path=parts.parent)


@pytest.mark.train
def test_a_row_that_its_verifier_cannot_read_is_told_before_anything_is_generated(nano, doors: Task, tmp_path: Path) -> None:
    bare = Example("bare", doors.address, EXAMPLES[0].prompt)
    with pytest.raises(DataError, match=r"Example 'bare': the verifier of task .* cannot read it \(KeyError: 'keys'\)"):
        evaluate(nano, [bare], **ASKED, out_path=tmp_path / "x", own_tasks=[doors.address])
    assert not list(tmp_path.iterdir())


@pytest.mark.train
def test_the_model_plays_the_same_episodes_whatever_the_batch(nano, tmp_path: Path) -> None:
    drawn = list(tasks.stream("counting", split="test", seed=3, num_examples=4, difficulties=[1, 5]))
    texts = []
    for batch_size in (1, 3, 8):
        folder = tmp_path / str(batch_size)
        result = evaluate(nano, drawn, **ASKED, episode=EpisodeConfig(verify_iterations=3), out_path=folder, batch_size=batch_size)
        rows = sorted(Records(folder).rows(), key=lambda row: str(row["id"]))
        texts.append([[step["text"] for step in row["steps"]] for row in rows])  # type: ignore[union-attr]
        assert result.episodes is not None
        assert result.episodes.num_replies > result.episodes.num_episodes, "some question was asked again"
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.train
def test_a_task_with_answers_played_with_one_attempt_has_the_records_of_questions_asked_once(nano, tmp_path: Path) -> None:
    drawn = list(tasks.stream("counting", split="test", seed=3, num_examples=3, difficulties=[1]))
    four = {**ASKED, "num_samples": 4, "generation": GenerationConfig(max_completion_length=24)}
    evaluate(nano, drawn, **four, out_path=tmp_path / "asked")
    evaluate(nano, drawn, **four, out_path=tmp_path / "played", episode=EpisodeConfig())
    more = {"success", "num_replies", "steps"}
    asked, played_rows = Records(tmp_path / "asked").rows(), Records(tmp_path / "played").rows()
    assert [{key: value for key, value in row.items() if key not in more} for row in played_rows] == asked
    assert {row["outcome"] for row in asked} >= {"correct"}
