"""GRPO on TRL's trainer: ours are the rewards, the seeds of the rollouts, the order of the batches and what is measured.

Departures from TRL 1.16: 1. a rollout is scored once, by `RewardSet`, and a failing reward stops the run; 2. with seeding "sample"
each completion has its own seed and mini-batches are fixed, so that results do not depend on the number of processes; 3. prompts
without images may stand beside prompts with images; 4. no vision token is ever sampled; 5. episodes of several replies are played
here and not by TRL's tool loop, which needs templates that can call tools, encodes replies anew and slices pixels wrongly.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from accelerate.utils import gather, gather_object
from trl import GRPOTrainer

from vlmpost.answers import symbolic
from vlmpost.config.schema import EpisodeConfig, GenerationConfig
from vlmpost.errors import DataError
from vlmpost.models.sampling import row_seed, seeded_processors
from vlmpost.models.turns import TurnRenderer
from vlmpost.records import Rollout, Score
from vlmpost.rewards import RewardSet, judged
from vlmpost.training import seams
from vlmpost.training.episodes import EpisodeBatch
from vlmpost.training.exact import ExactTrainer
from vlmpost.training.order import PromptSampler, mini_batch_order
from vlmpost.training.rollouts import RolloutBatch, episode_figures, figures, judge_all, make_rollouts, played, without_images

logger = logging.getLogger(__name__)


class PolicyTrainer(ExactTrainer, GRPOTrainer):
    """`GRPOTrainer` with the parts above put in.

    Args:
        rewards: Scores every rollout.
        generation: How completions are sampled.
        num_mini_batches: Optimizer steps that share one batch of rollouts.
        episode: How tasks are played; None: one reply to each prompt.
    """

    def __init__(
        self,
        *,
        rewards: RewardSet,
        generation: GenerationConfig,
        num_mini_batches: int,
        episode: EpisodeConfig | None = None,
        **kwargs: Any,  # Any: the arguments of ExactTrainer and GRPOTrainer
    ) -> None:
        self.rewards = rewards
        self.generation = generation
        self.num_mini_batches = num_mini_batches
        self.last_batch: RolloutBatch | None = None
        self.episode = episode
        self._rows: Sequence[dict[str, Any]] = ()
        self._prompts: Sequence[Any] = ()
        self._episodes: EpisodeBatch | None = None
        super().__init__(reward_funcs=[_named(name) for name in rewards.names], **kwargs)
        self.order = PromptSampler(
            len(self.train_dataset),
            prompts_per_step=self.args.generation_batch_size // self.num_generations,
            num_generations=self.num_generations,
            num_repeats=self.num_iterations * self.args.steps_per_generation,
            seed=self.args.seed,
        )
        self._text_config = self.accelerator.unwrap_model(self.model).config.get_text_config()
        self._renderer = None if episode is None else TurnRenderer(self.processing_class)

    @property
    def seeding(self) -> Literal["sample", "batch"]:
        """Whether a completion's randomness is its own or its batch's."""
        return self.generation.seeding

    def _get_train_sampler(self, dataset: Any = None) -> PromptSampler:  # Any: as TRL
        return self.order

    def _prepare_inputs(self, generation_batch: Any) -> Any:  # Any: rows in, tensors out
        order = partial(mini_batch_order, num_mini_batches=self.num_mini_batches)
        with seams.batches_ordered_by(order) if self.seeding == "sample" else nullcontext():
            return super()._prepare_inputs(generation_batch)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rows = inputs
        with self.clock.phase("prepare"):
            output = super()._generate_and_score_completions(inputs)
        assert self.last_batch is not None, "rewards are calculated inside"
        self.last_batch = self.last_batch.with_advantages(output["advantages"].tolist())
        return output

    def _generate(self, prompts: list[Any]) -> tuple[Any, ...]:
        self._prompts, self._episodes = prompts, None
        prompt_ids, completion_ids, mask, *between, images, tool_images = super()._generate(prompts)
        if self._episodes is not None:
            mask = self._episodes.masks
            self._correct_lengths([sum(row) for row in mask])
        return (prompt_ids, completion_ids, mask, *between, seams.without_missing_images(images), tool_images)

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        completion_ids, logps = self._reply(list(range(len(prompt_ids))), 0, prompt_ids, *args, **kwargs)
        if self.episode is None:
            return completion_ids, logps
        assert self._renderer is not None, "made with the episode's configuration"
        examples = [row["example"] for row in self._rows]
        episodes = EpisodeBatch(examples, config=self.episode, renderer=self._renderer, decode=self._decoded)
        episodes.add(range(len(examples)), completion_ids, logps)
        turn = 1
        while self._anywhere(bool(episodes.live)):
            places = episodes.live or [0]  # a process that has done its own keeps step with the others: sharded weights need all
            replies, logps = self._next_replies(places, episodes.histories(places), turn)
            if episodes.live:
                episodes.add(places, replies, logps)
            turn += 1
        self._episodes = episodes
        return episodes.completion_ids, episodes.logps

    def _next_replies(self, places: Sequence[int], histories: Sequence[list[int]], turn: int) -> tuple[Any, Any]:
        """One more reply of these rows. Their prompts are encoded again, which gives the same tokens and just these rows' images."""
        prompt_ids, images, fields = self._tokenize_prompts([self._prompts[place] for place in places])
        grown = [[*ids, *history] for ids, history in zip(prompt_ids, histories, strict=True)]
        fields = seams.grown_fields(fields, [len(history) for history in histories])
        return self._reply(places, turn, grown, seams.without_missing_images(images), fields, 1)

    def _reply(self, places: Sequence[int], turn: int, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        self._check_context(places, prompt_ids, turn)
        with self.clock.phase("generate"), self._sampler(places, turn):
            completion_ids, logps = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        self.num_sampled_tokens += sum(map(len, prompt_ids)) + sum(map(len, completion_ids))
        return completion_ids, logps

    def _check_context(self, places: Sequence[int], prompt_ids: Sequence[Sequence[int]], turn: int) -> None:
        """Passes if every reply fits behind what stands before it; positions past the model's last one would be read, but wrongly."""
        context = self._text_config.max_position_embeddings
        longest = max(range(len(places)), key=lambda row: len(prompt_ids[row]))
        length = len(prompt_ids[longest])
        if length + self.max_completion_length > context:
            raise DataError(
                f"Example {self._rows[places[longest]]['example'].id!r} has {length} tokens before reply {turn + 1}, and a reply may have "
                f"{self.max_completion_length} (generation.max_completion_length), but the model reads {context}. Lower that, "
                "episode.verify_iterations, data.max_prompt_length or model.image_max_pixels."
            )

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _correct_lengths(self, lengths: Sequence[int]) -> None:
        """Puts the numbers of sampled tokens in the place of TRL's lengths, which count the environment's tokens too."""
        everywhere = self.accelerator.gather(torch.tensor(lengths, device=self.accelerator.device)).float()
        noted = self._metrics["train" if self.model.training else "eval"]
        for name, value in (("mean", everywhere.mean()), ("min", everywhere.min()), ("max", everywhere.max())):
            noted[f"completions/{name}_length"][-1] = value.item()

    def _anywhere(self, here: bool) -> bool:
        """Whether it is so on any process."""
        flag = torch.tensor([here], dtype=torch.int32, device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, reduction="sum").item())

    def _sampler(self, places: Sequence[int], turn: int) -> AbstractContextManager[None]:
        if self.seeding == "batch" or self.use_vllm:
            return nullcontext()
        samples = self._samples(len(self._rows))
        when: str | int = self.state.global_step if turn == 0 else f"{self.state.global_step}/turn{turn}"
        seeds = [row_seed(self.args.seed, when, self._rows[place]["example"].id, samples[place]) for place in places]
        processors = seeded_processors(
            self.generation,
            seeds,
            max_new_tokens=self.max_completion_length,
            device=self.accelerator.device,
            suppress_token_ids=self.generation_kwargs["suppress_tokens"],
            pad_token_id=self._tokenizer.pad_token_id,
        )
        return seams.generating_with(self.accelerator.unwrap_model(self.model_wrapped), processors)

    def _samples(self, num_rows: int) -> list[int]:
        """Which completion of its prompt each row of this process is; groups may lie across processes."""
        first = self.accelerator.process_index * num_rows
        return [(first + row) % self.num_generations for row in range(num_rows)]

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
        forward, fields = seams.without_empty_images(model), seams.without_batch_num_images(kwargs)
        with self.clock.phase("update" if torch.is_grad_enabled() else "logps"):
            return super()._get_per_token_logps_and_entropies(forward, *args, **fields)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        with self.clock.phase("score"):
            rollouts = make_rollouts(
                [row["example"] for row in inputs],
                texts=[completion[0]["content"] for completion in completions],
                token_ids=completion_ids_list,
                samples=self._samples(len(completion_ids_list)),
                stop_ids={*self.eos_token_ids, self._tokenizer.pad_token_id},
            )
            if self._episodes is not None:
                rollouts = played(rollouts, replies=self._episodes.replies, steps=self._episodes.steps)
            timeouts_before, judged_before = symbolic.counts().timeouts, judged.counts()
            scores = self._scores(rollouts)
            verdicts = judge_all(rollouts, profile=self.rewards.profile)
        self.last_batch = RolloutBatch(rollouts, scores, verdicts)
        sums = figures(self.last_batch, image_token_ids=self.generation_kwargs["suppress_tokens"])
        sums["judge_timeout_share"] = (float(symbolic.counts().timeouts - timeouts_before), float(len(rollouts)))
        seen = judged.counts().num_seen - judged_before.num_seen
        sums["model_judged_share"] = (float(judged.counts().num_decided - judged_before.num_decided), float(seen))
        if self.episode is not None:
            sums |= episode_figures(self.last_batch)
        self._add_figures(sums)
        rows = [[_or_nan(score.parts[name]) for name in self.rewards.names] for score in scores]
        return gather(torch.tensor(rows, dtype=torch.float32, device=self.accelerator.device))

    def _scores(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """The scores of this process's rollouts; a group that lies across processes is scored whole on each of them."""
        if not self.rewards.per_group:
            return self.rewards.score_all(rollouts)
        everywhere = gather_object([without_images(rollout) for rollout in rollouts])
        first = self.accelerator.process_index * len(rollouts)
        return self.rewards.score_all(everywhere)[first : first + len(rollouts)]

    def _add_figures(self, sums: dict[str, tuple[float, float]]) -> None:
        """Adds this process's (sum, count) pairs to all others' and notes the means."""
        mode = "train" if self.model.training else "eval"
        local = torch.tensor(list(sums.values()), dtype=torch.float64, device=self.accelerator.device)
        total = self.accelerator.reduce(local, reduction="sum")
        for name, (value, count) in zip(sums, total.tolist(), strict=True):
            if count:
                self._metrics[mode][name].append(value / count)


def _named(name: str) -> Any:  # Any: TRL takes any callable
    """A stand-in that gives TRL the name of a reward term; `_calculate_rewards` never calls it."""

    def stand_in(**kwargs: object) -> list[float]:
        raise AssertionError(f"{name} is scored by RewardSet")

    stand_in.__name__ = name
    return stand_in


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
