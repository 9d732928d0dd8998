"""A loaded model as one that answers text prompts, for the model judge and for whoever else asks in words."""

from __future__ import annotations

from collections.abc import Sequence

from vlmpost.config.schema import GenerationConfig
from vlmpost.models.generation import generate
from vlmpost.models.loader import LoadedModel

BATCH_SIZE = 8


class LocalCompleter:
    """Greedy replies of a model from `models.loader.load(..., purpose="eval")`.

    Args:
        loaded: The model.
        max_tokens: Token budget of a reply; a reply that was cut counts as one that says no more.
        batch_size: Prompts answered side by side.
    """

    def __init__(self, loaded: LoadedModel, *, max_tokens: int = 512, batch_size: int = BATCH_SIZE) -> None:
        self.loaded = loaded
        self._generation = GenerationConfig(max_completion_length=max_tokens, max_concurrent=batch_size)

    @property
    def name(self) -> str:
        """The model's content and what changes its replies."""
        return f"{self.loaded.model_hash}, greedy, {self._generation.max_completion_length} tokens"

    def complete(self, prompts: Sequence[str]) -> list[str]:
        """Returns one reply per prompt, in order."""
        completions = generate(
            self.loaded.model,
            self.loaded.processor,
            [[{"role": "user", "content": [{"type": "text", "text": prompt}]}] for prompt in prompts],
            [[] for _ in prompts],
            config=self._generation,
            seeds=[0] * len(prompts),
            greedy=True,
        )
        return [completion.text for completion in completions]
