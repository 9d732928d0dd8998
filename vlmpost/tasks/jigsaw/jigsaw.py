"""What the three jigsaws share: K things are shown shuffled and numbered, the answer lists the numbers in the true order.

An example stores the truth as `meta.order` (what the reward `permutation` reads) and the permutation as `meta.shown`; replies are
verified by the presets of that reward, which are the reward tables. Classes: EXACT; PARTIAL, a valid order that is not the true one;
INVALID, no permutation of 1..K (`repo`: not K different numbers); ILLEGAL_FORMAT, the form is wrong and the reward 0.

Source: arXiv 2509.25190, section 3; penghao-wu/visual_jigsaw at b3224c6.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from PIL import Image, ImageOps

from vlmpost.errors import ConfigError, DataError, GraderError
from vlmpost.records import Example, Message, Part, Rollout, Step
from vlmpost.rewards.permutation import PRESETS, OrderGrade, gold_order, grade_order
from vlmpost.tasks.jigsaw.replies import FOOTERS, AnswerForm, listed, reply
from vlmpost.tasks.jigsaw.shuffling import shown_order, true_labels
from vlmpost.tasks.material import MaterialTask
from vlmpost.tasks.problem import Problem
from vlmpost.tasks.task import Style, TaskOptions

Palette = Literal["natural", "negative"]
NOTHINK: Final = "nothink"
_MAX_THINGS: Final = 1000
"""An order that is given explicitly may have this many."""
_FEEDBACK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "PARTIAL": "That is not the right order. Look again and give the whole order in the same form.",
        "INVALID": "That is no order: each number from 1 to {k} has to stand in it once. Look again and answer in the same form.",
        "ILLEGAL_FORMAT": "The answer is not in the form that was asked for. Look again and answer in that form.",
    }
)


class JigsawOptions(TaskOptions):
    """What can be chosen about every jigsaw."""

    exclude_identity: bool = False
    """Never show things as they are asked for, which makes the answer 1, 2, ..., K."""
    prompt_style: Literal["paper", "compact"] = "paper"
    """"paper": the paper's layout with a sample answer and a footer; "compact": a line, for models that know the task."""
    answer_form: AnswerForm = "answer"
    """Where the answer stands: "answer" in answer tags (table paper), "boxed" in a box (table repo), "bare" alone (repo_nothink)."""
    palette: Palette = "natural"
    """Colours of the pictures: as they are, or inverted."""


class JigsawTask(MaterialTask):
    """A question about the order of K things; subclasses say what they are and how they are shown."""

    options_type = JigsawOptions
    reward_tables = ("paper", "repo", "repo_nothink")
    png_level = 3
    thing: ClassVar[str]
    """What one of the K is called: "tile"."""
    thought: ClassVar[str]
    """One sentence that stands for the thinking of a bare answer."""

    def ordered(
        self,
        rng: random.Random,
        *,
        asked: Sequence[int],
        options: JigsawOptions,
        question: tuple[Part, ...],
        content: Mapping[str, object],
        draw: Callable[[list[int]], Sequence[Image.Image]],
        key: str = "",
    ) -> Problem:
        """Returns the problem of a permutation that is drawn here.

        Args:
            rng: Where the permutation comes from.
            asked: The things in the order that is asked for.
            options: The task's.
            question: The prompt without its footer.
            content: What else is known of the problem.
            draw: Draws the pictures for `shown`, the thing in each place.
            key: As in `Problem`.
        """
        shown = shown_order(rng, asked, exclude_identity=options.exclude_identity)
        order = true_labels(shown, asked)
        facts: dict[str, object] = {"k": len(shown), "order": order, "shown": shown, "answer_form": options.answer_form}
        facts |= {NOTHINK: True} if options.answer_form == "bare" else {}
        footer = (FOOTERS[options.answer_form],) if options.prompt_style == "paper" else ()
        return Problem(
            prompt=(*question, *footer),
            content={**facts, "palette": options.palette, **content},
            solution=reply(order, form=options.answer_form, thought=self.thought),
            answer=",".join(map(str, order)),
            draw=lambda: draw(shown),
            key=key,
        )

    def verify(self, example: Example, reply: str, *, rewards: str = "paper") -> Step:
        """Returns the class and the reward of a reply by a preset of the reward `permutation`.

        A row marked `nothink` is held to `repo_nothink` where `repo` is asked for, as the released code does by its `data_source`.

        Raises:
            GraderError: The example has no order.
        """
        gold = gold_order(example)
        if gold is None:
            raise GraderError(f"Example {example.id!r} has no order of things (meta.order, or answer).")
        preset = "repo_nothink" if rewards == "repo" and example.meta.get(NOTHINK) else rewards
        grade = grade_order(Rollout(example, reply, (), "stop"), gold, **PRESETS["permutation"][preset])  # type: ignore[arg-type]
        return _step(reply, grade, num_things=len(gold))

    def from_row(self, row: Mapping[str, object]) -> Example:
        """Returns an example without pictures of `ground_truth` (a list or "2,3,1") and, if given, `k`, `nothink`, `data_source`, `id`.

        Raises:
            DataError: The ground truth is no permutation of 1..K, or K is another.
        """
        order = _order_of(row.get("ground_truth"))
        num_things = len(order) if row.get("k") is None else row["k"]
        if type(num_things) is not int or num_things != len(order):
            raise DataError(f"k is {num_things!r:.40}, but ground_truth has {len(order)} labels: {listed(order)[:80]}.")
        nothink = bool(row.get(NOTHINK)) or NOTHINK in str(row.get("data_source", ""))
        form: AnswerForm = "bare" if nothink else "answer"
        facts: dict[str, object] = {"k": len(order), "order": order, "answer_form": form}
        return Example(
            id=str(row.get("id") or f"{self.name}-{'-'.join(map(str, order))}"[:80]),
            task=self.address,
            prompt=(Message("user", (f"Put the {len(order)} {self.thing}s in order. {FOOTERS[form]}",)),),
            answer=",".join(map(str, order)),
            meta=facts | ({NOTHINK: True} if nothink else {}),
        )

    def solve(self, example: Example, *, style: Style = "answer") -> str:
        """Returns the true order in the form that the prompt asks for, after one sentence of thought or one for each thing.

        Raises:
            ConfigError: A bare answer has no room for reasoning.
        """
        order, form = gold_order(example), _form_of(example)
        assert order is not None, example.id
        if style == "reasoned" and form == "bare":
            raise ConfigError(f"Task {self.name!r} has no reasoned solutions with answer_form bare. Use answer or boxed.")
        reasoned = style == "reasoned" and "shown" in example.meta
        return reply(order, form=form, thought=self.reasoning(example) if reasoned else self.thought)

    @abstractmethod
    def reasoning(self, example: Example) -> str:
        """Returns what a patient reader writes down of each thing before the answer."""

    def wrong_reply(self, example: Example, rng: random.Random) -> str:
        """Returns the true order with two of its labels exchanged, in the right form."""
        order = list(gold_order(example) or ())
        first, second = rng.sample(range(len(order)), 2)
        order[first], order[second] = order[second], order[first]
        return reply(order, form=_form_of(example), thought=self.thought)


def painted(image: Image.Image, palette: Palette) -> Image.Image:
    """Returns the picture in other colours; nothing that could be told from it is lost."""
    return ImageOps.invert(image) if palette == "negative" else image


def _step(text: str, grade: OrderGrade, *, num_things: int) -> Step:
    feedback = _FEEDBACK.get(grade.outcome)
    return Step(
        text=text,
        outcome=grade.outcome,
        reward=grade.value,
        correct=grade.outcome == "EXACT",
        violations=("REPETITION",) if grade.repeated else (),
        feedback=None if feedback is None else feedback.format(k=num_things),
        extracted=",".join(map(str, grade.items)) if grade.items else None,
    )


def _form_of(example: Example) -> AnswerForm:
    form = example.meta.get("answer_form", "answer")
    if form not in FOOTERS:
        raise DataError(f"Example {example.id!r}: meta.answer_form is {form!r:.40}; expected one of {', '.join(FOOTERS)}.")
    return form  # type: ignore[return-value]  # one of the keys


def _order_of(given: object) -> list[int]:
    """The labels of a row's ground truth."""
    labels = given
    if isinstance(given, str) and len(given) <= 10 * _MAX_THINGS:
        labels = given.replace(",", " ").strip("[] ").split()
    if isinstance(labels, list | tuple):
        labels = [_label_of(label) for label in labels]
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError(f'ground_truth is {given!r:.80}; expected labels like [2, 3, 1] or "2,3,1".')
    if not 2 <= len(labels) <= _MAX_THINGS or sorted(labels) != list(range(1, len(labels) + 1)):
        raise DataError(f"ground_truth is {given!r:.80}; expected each number from 1 to K once, K from 2 to {_MAX_THINGS}.")
    return labels


def _label_of(given: object) -> object:
    """A label written as text as the number it is; anything else as it stands."""
    if isinstance(given, str) and len(given) < 5 and given.isascii() and given.isdigit():
        return int(given)
    return given
