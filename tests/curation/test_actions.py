"""Action prompting: every edge of the state machine, what is asked and read, and how a teacher drives it."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from vlmpost.config.curate import TeacherConfig
from vlmpost.config.schema import GenerationConfig, ModelConfig
from vlmpost.curation.action_prompts import Unfit, read, text_for, tree_of
from vlmpost.curation.action_teacher import ActionTeacher
from vlmpost.curation.actions import (
    LEGAL,
    Answered,
    Clarified,
    Decomposed,
    Goals,
    Log,
    Reflected,
    Solution,
    Stepped,
    Subgoal,
    Thought,
    advance,
)
from vlmpost.curation.chats import Replies, Reply, Turn
from vlmpost.curation.endpoint import BASE_URL, EndpointChat
from vlmpost.curation.local_chat import LocalChat
from vlmpost.curation.records import Answer, Ask, Failure
from vlmpost.models import loader
from vlmpost.records import IMAGE, Example, ImageRef, Message

sys.path.insert(0, str(Path(__file__).parent))
from scripted_server import Asked, ScriptedServer, by_chance

CLARIFY = "<clarification>Two numbers are given.</clarification>\n<goal>Find the sum.</goal>"
DECOMPOSE = (
    "<thinking>Hm.</thinking><sentence>Let me add them.</sentence>"
    "<sentence>Alternatively, I could count.</sentence><sentence>Alternatively, I could guess.</sentence>"
)
STEP = "3 + 4 = 7."
ACHIEVED = (
    "<verification>7 - 4 = 3, so 7.</verification><current_goal_achieved>true</current_goal_achieved>"
    "<parent_goal_achieved>true</parent_goal_achieved>"
)
CURRENT = ACHIEVED.replace("<parent_goal_achieved>true", "<parent_goal_achieved>false")
FAILED = (
    "<verification>7 - 4 is not 2.</verification><current_goal_achieved>false</current_goal_achieved>"
    "<parent_goal_achieved>false</parent_goal_achieved><new_goal>Alternatively, let me count.</new_goal>"
)
ANSWER = r"The sum is \boxed{7}."
SENTENCES = ("Let me add them.", "Alternatively, I could count.", "Alternatively, I could guess.")


def decomposing() -> Solution:
    return advance(Solution(), Clarified("Two numbers are given.", "Find the sum."))


def stepping() -> Solution:
    return advance(decomposing(), Decomposed("Hm.", SENTENCES))


def reflecting() -> Solution:
    return advance(stepping(), Stepped(STEP))


def test_a_solution_begins_with_clarify_and_an_empty_log() -> None:
    assert Solution() == Solution("clarify", Log(()), Goals(None, False, ()), is_over=False)


def test_clarify_names_the_parent_goal_and_leads_to_decompose() -> None:
    after = decomposing()
    assert after == Solution("decompose", Log((Thought("clarify", "Two numbers are given."),)), Goals("Find the sum."))


def test_decompose_takes_its_first_sentence_as_the_current_goal_and_says_all_three() -> None:
    after = stepping()
    assert after.action == "solution_step"
    assert after.log.thoughts[-1] == Thought("decompose", "Let me add them. Alternatively, I could count. Alternatively, I could guess.")
    assert after.goals == Goals("Find the sum.", False, (Subgoal("Let me add them.", "current"),))


def test_a_step_leads_to_reflection_and_changes_no_goal() -> None:
    after = reflecting()
    assert (after.action, after.goals, after.log.prior_step) == ("reflection", stepping().goals, STEP)


def test_a_parent_goal_that_is_achieved_leads_to_the_answer() -> None:
    after = advance(reflecting(), Reflected("Right.", True, True, None))
    assert after.action == "answer"
    assert after.goals == Goals("Find the sum.", True, (Subgoal("Let me add them.", "finished"),))


def test_a_parent_goal_counts_even_where_the_current_one_was_not_achieved() -> None:
    after = advance(reflecting(), Reflected("Right.", False, True, None))
    assert after.action == "answer"
    assert after.goals == Goals("Find the sum.", True, (Subgoal("Let me add them.", "timed_out"),))


def test_a_current_goal_that_is_achieved_leads_to_decompose_without_a_current_goal() -> None:
    after = advance(reflecting(), Reflected("Right.", True, False, None))
    assert after.action == "decompose"
    assert after.goals.current is None
    assert after.goals == Goals("Find the sum.", False, (Subgoal("Let me add them.", "finished"),))


def test_a_failed_reflection_sets_its_new_goal_and_says_it() -> None:
    after = advance(reflecting(), Reflected("Not right.", False, False, "Alternatively, let me count."))
    assert after.action == "solution_step"
    assert after.log.thoughts[-1] == Thought("reflection", "Not right.\n\nAlternatively, let me count.")
    expected = (Subgoal("Let me add them.", "timed_out"), Subgoal("Alternatively, let me count.", "current"))
    assert after.goals == Goals("Find the sum.", False, expected)


def test_the_answer_ends_the_solution() -> None:
    before = advance(reflecting(), Reflected("Right.", True, True, None))
    after = advance(before, Answered(ANSWER))
    assert after.is_over
    assert [thought.action for thought in after.log.thoughts] == ["clarify", "decompose", "solution_step", "reflection", "answer"]
    assert after.log.text.split("\n\n") == ["Two numbers are given.", " ".join(SENTENCES), STEP, "Right.", ANSWER]


def test_the_log_only_grows() -> None:
    before = reflecting()
    after = advance(before, Reflected("Right.", True, False, None))
    assert after.log.thoughts[: len(before.log.thoughts)] == before.log.thoughts
    assert len(before.log.thoughts) == 3


def test_what_belongs_to_another_action_is_refused() -> None:
    with pytest.raises(AssertionError, match="came to clarify"):
        advance(Solution(), Stepped(STEP))
    with pytest.raises(AssertionError, match="came to clarify"):
        advance(Solution(), Answered(ANSWER))


def test_the_table_of_transitions_has_five_actions_and_six_edges() -> None:
    # clarify 1, decompose 1, solution_step 1, reflection 3, answer 0: six edges between five actions
    assert (len(LEGAL), sum(map(len, LEGAL.values()))) == (5, 6)


@pytest.mark.parametrize(
    ("action", "reply", "said"),
    [
        ("clarify", CLARIFY, Clarified("Two numbers are given.", "Find the sum.")),
        ("clarify", f"<think>So <goal>no</goal>.</think>{CLARIFY}", Clarified("Two numbers are given.", "Find the sum.")),
        ("decompose", DECOMPOSE, Decomposed("Hm.", SENTENCES)),
        ("solution_step", f"\n{STEP}\n", Stepped(STEP)),
        ("reflection", ACHIEVED, Reflected("7 - 4 = 3, so 7.", True, True, None)),
        ("reflection", CURRENT.replace("true", " True "), Reflected("7 - 4 = 3, so 7.", True, False, None)),
        ("reflection", f"{CURRENT}<new_goal></new_goal>", Reflected("7 - 4 = 3, so 7.", True, False, None)),
        ("reflection", FAILED, Reflected("7 - 4 is not 2.", False, False, "Alternatively, let me count.")),
        ("answer", ANSWER, Answered(ANSWER)),
    ],
)
def test_what_is_read_of_a_reply(action: str, reply: str, said: object) -> None:
    assert read(action, reply) == said  # type: ignore[arg-type]  # an Action


@pytest.mark.parametrize(
    ("action", "reply", "fault"),
    [
        ("clarify", CLARIFY.partition("\n")[0], "<goal>...</goal> stands there not at all and has to stand there once"),
        ("clarify", CLARIFY * 2, "<goal>...</goal> stands there 2 times"),
        ("clarify", "<clarification> </clarification><goal>Find it.</goal>", "<clarification> is empty"),
        ("clarify", "<clarification>A.</clarification><goal>Find\nit.</goal>", "<goal> has more than one line"),
        ("clarify", f"<think>{CLARIFY}", "the thinking was not closed"),
        (
            "decompose",
            DECOMPOSE.replace("<sentence>Alternatively, I could guess.</sentence>", ""),
            "2 times and has to stand there 3 times",
        ),
        ("decompose", DECOMPOSE.replace("Alternatively, I could guess", "Or I could guess"), "the second and the third"),
        ("decompose", DECOMPOSE.replace("Let me add", "Alternatively, add"), "the first <sentence> opens"),
        ("solution_step", "  ", "it is empty"),
        ("reflection", ACHIEVED.replace("true", "maybe"), "<current_goal_achieved> has to be true or false"),
        ("reflection", FAILED.partition("<new_goal>")[0], "<new_goal>...</new_goal> stands there not at all"),
        ("reflection", FAILED.replace("Alternatively, let", "Let"), "<new_goal> has to open"),
        ("answer", "The sum is 7.", "there is no final answer in \\boxed{}"),
        ("answer", r"The sum is \boxed{ }.", "there is no final answer in \\boxed{}"),
    ],
)
def test_what_cannot_be_read_is_named(action: str, reply: str, fault: str) -> None:
    found = read(action, reply)  # type: ignore[arg-type]  # an Action
    assert isinstance(found, Unfit)
    assert fault in found.request


def test_each_action_reads_what_the_paper_says() -> None:
    twice = advance(advance(reflecting(), Reflected("No.", False, False, "Alternatively, let me count.")), Stepped("One, two."))
    log, parent, current, prior, tree = (
        twice.log.text,
        "Find the sum.",
        "Alternatively, let me count.",
        "last step was:\nOne, two.",
        "- Find",
    )
    reads = {
        "clarify": (),
        "decompose": (log, parent, current),
        "solution_step": (log, prior, current),
        "reflection": (log, parent, current, tree),
        "answer": (log,),
    }
    for action, expected in reads.items():
        text = text_for(Solution(action, twice.log, twice.goals))  # type: ignore[arg-type]  # an Action
        rest = text.replace(log, "")
        assert all(part in text for part in expected), action
        assert [part in rest for part in (parent, current)] == [part in expected for part in (parent, current)], action
        assert (prior in text, tree in text, log in text) == (prior in expected, tree in expected, log in expected), action


def test_the_answer_obeys_the_recipes_instruction_beside_our_format() -> None:
    text = text_for(Solution("answer", reflecting().log, reflecting().goals), instruction="Answer in metres.")
    assert "Put the final answer in \\boxed{}. Answer in metres." in text


def test_the_tree_shows_what_was_done_and_given_up() -> None:
    goals = Goals("Find x.").with_current("Add.").with_status("finished").with_current("Halve.").with_status("timed_out")
    assert tree_of(goals).split("\n") == ["- Find x. (being worked on)", "  - Add. (done)", "  - Halve. (given up)"]


class ScriptedChat:
    """Says what the test wants, in order, and notes the turns."""

    name = "scripted"
    max_concurrent = 2

    def __init__(self, replies: Sequence[str | Reply | Failure], *, is_repeatable: bool = False) -> None:
        self.replies = deque(replies)
        self.is_repeatable = is_repeatable
        self.turns: list[Turn] = []
        self.waiting: deque[Hashable] = deque()

    def num_tokens(self, text: str, /) -> int | None:
        return len(text.split())

    @contextmanager
    def open(self) -> Iterator[Replies]:
        yield self

    def put(self, key: Hashable, turn: Turn) -> None:
        self.turns.append(turn)
        self.waiting.append(key)

    def take(self) -> tuple[Hashable, Reply | Failure]:
        reply = self.replies.popleft()
        return self.waiting.popleft(), Reply(reply, None, 5, "stop") if isinstance(reply, str) else reply


PICTURE = ImageRef(path="picture.png")
QUESTION = Example("q", "t", (Message("user", (IMAGE, "What is the sum?")),), images=(PICTURE,), answer="7")
ALL = (CLARIFY, DECOMPOSE, STEP, ACHIEVED, ANSWER)


def solved(chat: ScriptedChat, *, max_actions: int = 24) -> Answer | Failure:
    [(_, outcome)] = list(ActionTeacher(chat, max_actions=max_actions).answer([Ask(QUESTION, 0, 1)]))
    return outcome


def test_a_trajectory_is_its_thoughts_in_order_with_the_answer_in_its_box() -> None:
    outcome = solved(ScriptedChat(ALL))
    thoughts = ["Two numbers are given.", " ".join(SENTENCES), STEP, "7 - 4 = 3, so 7.", ANSWER]
    actions = ("clarify", "decompose", "solution_step", "reflection", "answer")
    assert isinstance(outcome, Answer)
    assert outcome.text == "\n\n".join(thoughts)
    assert outcome.actions == tuple(zip(actions, thoughts, strict=True))
    assert (outcome.stop_reason, outcome.teacher) == ("stop", "scripted, actions")
    assert outcome.num_tokens == 4 + 12 + 5 + 7 + 4  # words of the five thoughts


def test_a_detour_over_a_failed_reflection_is_part_of_the_trajectory() -> None:
    outcome = solved(ScriptedChat((CLARIFY, DECOMPOSE, STEP, FAILED, STEP, CURRENT, DECOMPOSE, STEP, ACHIEVED, ANSWER)))
    assert isinstance(outcome, Answer)
    steps = ["clarify", "decompose", "solution_step", "reflection", "solution_step", "reflection"]
    assert [action for action, _ in outcome.actions] == [*steps, "decompose", "solution_step", "reflection", "answer"]
    assert "7 - 4 is not 2.\n\nAlternatively, let me count." in outcome.text


def test_every_turn_shows_the_problem_with_its_images_and_only_reflection_is_marked() -> None:
    chat = ScriptedChat(ALL)
    solved(chat)
    assert [turn.reflects for turn in chat.turns] == [False, False, False, True, False]
    assert len({turn.seed for turn in chat.turns}) == 5
    for turn in chat.turns:
        [message] = turn.messages
        assert turn.images == (PICTURE,)
        assert message["content"][:2] == [{"type": "image"}, {"type": "text", "text": "What is the sum?"}]


def test_a_reply_that_lacks_something_is_asked_for_again_once() -> None:
    chat = ScriptedChat(("I do not like tags.", *ALL))
    assert isinstance(solved(chat), Answer)
    first, again = chat.turns[0], chat.turns[1]
    assert again.messages[0] == first.messages[0]
    assert again.messages[1] == {"role": "assistant", "content": [{"type": "text", "text": "I do not like tags."}]}
    assert "<clarification>...</clarification> stands there not at all" in str(again.messages[2])
    assert len(chat.turns) == 6
    assert len(chat.turns[2].messages) == 1  # what was refused is forgotten


@pytest.mark.parametrize("is_repeatable", [False, True])
def test_a_second_reply_that_lacks_something_is_a_failure(is_repeatable: bool) -> None:
    chat = ScriptedChat((CLARIFY, "no", "no"), is_repeatable=is_repeatable)
    assert solved(chat) == Failure("decompose: the reply cannot be read", "scripted, actions", lasting=is_repeatable)
    assert len(chat.turns) == 3


def test_each_action_may_be_asked_for_again() -> None:
    assert isinstance(solved(ScriptedChat(("no", CLARIFY, "no", DECOMPOSE, "", STEP, "no", ACHIEVED, "no", ANSWER))), Answer)


def test_a_thought_that_was_cut_is_asked_for_again_and_never_kept() -> None:
    chat = ScriptedChat((CLARIFY, DECOMPOSE, Reply("3 + 4 =", None, 5, "length"), STEP, ACHIEVED, ANSWER))
    outcome = solved(chat)
    assert isinstance(outcome, Answer)
    assert "3 + 4 =\n" not in outcome.text
    assert "cut by its token budget" in str(chat.turns[3].messages)


def test_a_reply_that_fails_ends_the_solution_with_its_reason() -> None:
    assert solved(ScriptedChat((CLARIFY, Failure("status 500", "scripted")))) == Failure("status 500", "scripted, actions")


@pytest.mark.parametrize(("max_actions", "is_finished"), [(5, True), (4, False)])
def test_a_solution_without_an_answer_after_its_last_thought_is_unfinished(max_actions: int, is_finished: bool) -> None:
    outcome = solved(ScriptedChat(ALL), max_actions=max_actions)
    assert isinstance(outcome, Answer) if is_finished else outcome == Failure("unfinished", "scripted, actions", lasting=True)


def test_solutions_run_side_by_side_and_each_ends_once() -> None:
    chat = ScriptedChat([reply for reply in ALL for _ in range(2)] + list(ALL))  # two in step, then the third
    wanted = [Ask(QUESTION, sample, sample) for sample in range(3)]
    found = list(ActionTeacher(chat, max_actions=24).answer(wanted))
    assert [ask.sample for ask, outcome in found if isinstance(outcome, Answer)] == [0, 1, 2]
    assert len({turn.seed for turn in chat.turns}) == 15


def replies_of(asked: Asked) -> str:
    """What a good model says to each of our prompts."""
    for sign, reply in (("<clarification>", CLARIFY), ("<sentence>", DECOMPOSE), ("<verification>", ACHIEVED), ("state the final", ANSWER)):
        if sign in asked.text:
            return reply
    return STEP


def test_over_a_server_reflection_goes_to_its_own_model_and_faults_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = dict.fromkeys(("status_500", "rate_limited", "not_json", "cut_connection", "length", "no_text"), 0.05)
    with ScriptedServer(script=by_chance(shares, seed=2), say=replies_of) as server:
        monkeypatch.setenv(BASE_URL, server.url)
        settings = TeacherConfig(kind="endpoint", name="big", reflection_name="wise", prompting="actions")
        chat = EndpointChat(settings, generation=GenerationConfig(), pause_seconds=0.001)
        example = Example("q", "t", (Message("user", ("What is the sum?",)),), answer="7")
        wanted = [Ask(example, sample, sample) for sample in range(40)]
        found = list(ActionTeacher(chat, max_actions=24).answer(wanted))
    assert sorted(ask.sample for ask, _ in found) == list(range(40))
    assert sum(isinstance(outcome, Answer) for _, outcome in found) >= 35
    assert {asked.body["model"] for asked in server.asked if "<verification>" in asked.text} == {"wise"}
    assert {asked.body["model"] for asked in server.asked if "<verification>" not in asked.text} == {"big"}
    assert found[0][1].teacher == "big and wise, actions"


def test_the_shipped_model_cannot_follow_and_every_solution_is_a_lasting_failure() -> None:
    loaded = loader.load(ModelConfig(), purpose="eval")
    chat = LocalChat(loaded, GenerationConfig(max_completion_length=8, max_concurrent=2))
    example = Example("q", "t", (Message("user", ("How much is 3 + 4?",)),), answer="7")
    found = list(ActionTeacher(chat, max_actions=24).answer([Ask(example, sample, sample) for sample in range(3)]))
    assert sorted(ask.sample for ask, _ in found) == [0, 1, 2]
    assert {outcome.lasting for _, outcome in found if isinstance(outcome, Failure)} == {True}


def test_a_local_reply_is_that_of_its_seed_whatever_stands_beside_it() -> None:
    loaded = loader.load(ModelConfig(), purpose="eval")
    chat = LocalChat(loaded, GenerationConfig(max_completion_length=6))
    message = {"role": "user", "content": [{"type": "text", "text": "How much is 3 + 4?"}]}
    turns = [Turn((message,), (), seed) for seed in range(4)]
    together = chat.replies(turns)
    assert [chat.replies([turn])[0] for turn in turns] == together
    assert chat.replies([Turn((message,), (ImageRef(path="nowhere.png"),), 0)]) == [
        Failure("the question cannot be read", chat.name, lasting=True)
    ]
