"""Which training questions are copies of evaluation questions, by their words and by their pictures.

By words (`wording`), a question is a copy of an evaluation question if either holds:

1. They share `ngram` words in a row that are not common wording. Wording is common where it stands in evaluation questions of more than
   `MAX_SHARED` different options or answers: instructions and templates ("What is the missing number of the part ...") say nothing.
2. They are the same word for word, options included in any order; this finds short questions and those made from a template. Where one
   of them has pictures, the words alone ("What is the value of x?") make no copy: the answers must be the same too, and every
   evaluation question of these words must have that answer.

By pictures (`image_hash`), it is a copy if one of its pictures looks like one of an evaluation question, within `image_distance` bits. A
picture that looks like more than `MAX_SHARED` different ones is of a series (drawn puzzles, hands of cards) and must be the same pixel by
pixel. An even picture (blank, one colour) looks like nothing.

Where there are pictures, words that evaluation questions ask with several answers are a template, which rule 1 leaves to rule 2; and a
question of the same words whose answer is plainly another is not made a copy by a picture that only looks alike.

`match` says what is needed: "text", "image", "either", or "both" for one and the same evaluation question. There common wording and a
series will do, as each vouches for the other, and two questions without pictures are compared by their words alone.

Source: words in a row, n = 13, and leaving out those that are found too often: GPT-3, arXiv 2005.14165 appendix C; NeMo Curator,
TaskDecontamination (`max_matches` 10). Departures: they count documents of the training set, and cut the match out of a document;
rule 2 and the pictures are ours.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vlmpost.config.curate import DecontaminateConfig
from vlmpost.curation.image_hash import EVEN, HashIndex, PictureHash, hash_of
from vlmpost.curation.wording import Wording, ngrams, wording_of
from vlmpost.errors import DataError
from vlmpost.media.images import open_image
from vlmpost.records import Example

if TYPE_CHECKING:
    from PIL import Image

MAX_SHARED: Final = 5
"""Different questions that may share wording, and different pictures that may look alike, before that tells nothing."""

Progress = Callable[[str, int, int | None], None]
"""Called with (what is being done, done so far, total or None)."""


@dataclass(frozen=True, slots=True)
class Match:
    """An evaluation question that a question is like."""

    place: int
    """Which one, from 0."""
    how: str
    """In which way, in a few words."""


class Decontaminator:
    """Compares questions with those of the evaluation sets.

    Args:
        config: What makes a copy.
        evaluation_examples: What must not be trained on; where pictures count, theirs are opened here.
        progress: Called now and then; None: not.

    Raises:
        DataError: A picture of an evaluation question cannot be opened.
    """

    def __init__(self, config: DecontaminateConfig, evaluation_examples: Sequence[Example], *, progress: Progress | None = None) -> None:
        self._config = config
        self._ids = [example.id for example in evaluation_examples]
        wordings = [wording_of(example) for example in evaluation_examples]
        self._texts = TextIndex(evaluation_examples, wordings, size=config.ngram)
        self._pictures = PictureIndex(evaluation_examples if config.match != "text" else (), wordings, progress=progress)

    def reason(self, example: Example) -> str | None:
        """Returns which evaluation question a question copies, and in which way; None where it copies none.

        Raises:
            DataError: A picture of the question cannot be opened.
        """
        found = self._both(example) if self._config.match == "both" else self._either(example)
        return None if found is None else f"evaluation question {self._ids[found.place]}: {found.how}"

    def _either(self, example: Example) -> Match | None:
        """Of the words if there is one, so that pictures are opened only where the words do not tell."""
        by_words = None if self._config.match == "image" else self._texts.copied_by(example)
        if by_words is not None or self._config.match == "text":
            return by_words
        return next(self._pictures.like(example, max_distance=self._config.image_distance, series=False), None)

    def _both(self, example: Example) -> Match | None:
        if not example.images:
            return self._texts.copied_by(example, only_without_images=True)
        for match in self._pictures.like(example, max_distance=self._config.image_distance, series=True):
            words = self._texts.shared_words(example, match.place)
            if words is not None:
                return Match(match.place, f"{words}, {match.how}")
        return None


class TextIndex:
    """Finds evaluation questions by their words.

    Args:
        examples: The evaluation questions.
        wordings: Their words.
        size: Words in a row.
    """

    def __init__(self, examples: Sequence[Example], wordings: Sequence[Wording], *, size: int) -> None:
        self._size = size
        self._wordings = wordings
        self._have_images = [bool(example.images) for example in examples]
        self._whole: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = defaultdict(list)
        self._asking: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._first: dict[str, int] = {}
        self._sharing: dict[str, list[int]] = {}
        for place, wording in enumerate(wordings):
            self._whole[wording.question, wording.choices].append(place)
            self._asking[wording.question].append(place)
            for ngram in set(ngrams(wording.question, size)):
                first = self._first.setdefault(ngram, place)
                if first != place:
                    self._sharing.setdefault(ngram, [first]).append(place)
        self._common = {ngram for ngram, places in self._sharing.items() if self._num_different(places) > MAX_SHARED}

    def copied_by(self, example: Example, *, only_without_images: bool = False) -> Match | None:
        """Returns the evaluation question that an example copies by its words.

        Args:
            example: A training question.
            only_without_images: Compare it with the evaluation questions without images alone.
        """
        wording = wording_of(example)
        for ngram in ngrams(wording.question, self._size):
            for place in self._telling(ngram):
                has_images = bool(example.images) or self._have_images[place]
                if not has_images or not (only_without_images or self._is_of_template(wording, place)):
                    return Match(place, self._in_a_row(ngram))
        return self._copied_whole(wording, has_images=bool(example.images), only_without_images=only_without_images)

    def shared_words(self, example: Example, place: int) -> str | None:
        """Returns which words an example shares with one evaluation question, common wording included; None: not enough."""
        wording, other = wording_of(example), self._wordings[place]
        if wording.question and (wording.question, wording.choices) == (other.question, other.choices):
            return "the same words"
        shared = set(ngrams(other.question, self._size))
        return next((self._in_a_row(ngram) for ngram in ngrams(wording.question, self._size) if ngram in shared), None)

    def _copied_whole(self, wording: Wording, *, has_images: bool, only_without_images: bool) -> Match | None:
        places = self._whole.get((wording.question, wording.choices), []) if wording.question else []
        for place in places:
            if not has_images and not self._have_images[place]:
                return Match(place, "the same words")
        answers = {self._wordings[place].answer for place in places}
        if only_without_images or wording.answer is None or answers != {wording.answer}:
            return None
        return Match(places[0], "the same words and answer")

    def _telling(self, ngram: str) -> Sequence[int]:
        """The evaluation questions with these words in a row, unless they are common."""
        if ngram not in self._first or ngram in self._common:
            return ()
        return self._sharing.get(ngram) or (self._first[ngram],)

    def _is_of_template(self, wording: Wording, place: int) -> bool:
        """Whether an evaluation question is asked in just these words, and they are asked with several answers."""
        same = self._asking[wording.question] if wording.question == self._wordings[place].question else ()
        return len({self._wordings[other].answer for other in same}) > 1

    def _num_different(self, places: Sequence[int]) -> int:
        return len({(self._wordings[place].choices, self._wordings[place].answer) for place in places})

    def _in_a_row(self, ngram: str) -> str:
        return f"{self._size} words in a row ({ngram})"


class PictureIndex:
    """Finds evaluation questions by their pictures.

    Args:
        examples: The evaluation questions.
        wordings: Their words.
        progress: Called now and then; None: not.

    Raises:
        DataError: A picture cannot be opened.
    """

    def __init__(self, examples: Sequence[Example], wordings: Sequence[Wording], *, progress: Progress | None = None) -> None:
        self._wordings = wordings
        self._places: dict[bytes, list[int]] = defaultdict(list)
        hashes: dict[bytes, PictureHash] = {}
        for place, example in enumerate(examples):
            for pixels, look in _looks(example):
                hashes[pixels] = look
                self._places[pixels].append(place)
            if progress is not None:
                progress("reading pictures of evaluation questions", place + 1, len(examples))
        self._pixels = list(hashes)
        self._index = HashIndex(hashes.values())

    def like(self, example: Example, *, max_distance: int, series: bool) -> Iterator[Match]:
        """Yields the evaluation questions that have a picture like one of an example's, those with the same pixels first.

        Args:
            example: A training question.
            max_distance: Bits of 64.
            series: Whether a picture that looks like more than `MAX_SHARED` different ones counts.
        """
        looks = _looks(example)
        for pixels, _ in looks:
            yield from (Match(place, "the same picture") for place in self._places.get(pixels, ()))
        wording = wording_of(example)
        for _, look in looks:
            near = self._index.near(look, max_distance=max_distance)
            for distance, number in near if series or len(near) <= MAX_SHARED else ():
                for place in self._places[self._pixels[number]]:
                    if not _is_sibling(wording, self._wordings[place]):
                        yield Match(place, f"a picture that looks the same (distance {distance})")


def _is_sibling(wording: Wording, other: Wording) -> bool:
    """Whether the same is asked with plainly another answer: both are options or neither is, and neither holds the other ("5", "5 cm")."""
    if wording.question != other.question or bool(wording.choices) != bool(other.choices):
        return False
    one, two = set((wording.answer or "").split()), set((other.answer or "").split())
    return not (one <= two or two <= one)


def _looks(example: Example) -> list[tuple[bytes, PictureHash]]:
    """A digest of the pixels, and the hash, of each picture of a question; even pictures are left out."""
    try:
        images = [open_image(ref) for ref in example.images]
    except DataError as error:
        raise DataError(f"Question {example.id} cannot be compared with the evaluation sets: {error}") from None
    looks = [(_pixels_of(image), hash_of(image)) for image in images]
    return [(pixels, look) for pixels, look in looks if look != EVEN]


def _pixels_of(image: Image.Image) -> bytes:
    """The same for the same pixels."""
    return hashlib.blake2b(image.tobytes(), digest_size=16, key=repr(image.size).encode()).digest()
