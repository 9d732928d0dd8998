"""The policy trainer: GRPO and its relatives, REINFORCE++ and PPO, on TRL's `GRPOTrainer`.

TRL gives the loop, the arguments, the reference model, the wrapping of models and the log. What a step is made of is ours, and each
part can be tested without a trainer: the batch (`experience_makers`), its rollouts (`collector`) and advantages (`estimators`), forward
passes (`scorer`), their cut (`micro_batches`) and the loss (`step_loss`). This class wires them to TRL's hooks.

Departures from TRL 1.16:
1. A prompt and its images are encoded once, and read once for all its completions, in sampling and in the update.
2. A rollout is scored once, by `RewardSet`, and a failing reward stops the run.
3. With seeding "sample" each completion has its own seed; mini-batches hold whole groups, whatever the number of processes.
4. An optimizer step is one call of `training_step`; its loss is normalised over the whole step, so that micro-batches change no number
   (but with top_entropy_quantile below 1, whose threshold is of each pass, as TRL's is).
5. Prompts without images may stand beside prompts with images; no vision token is ever sampled.
6. Episodes of several replies are played here and not by TRL's tool loop, which needs templates that can call tools.
7. Completions that cannot move the weights (advantage 0, no KL term) are left out of the update's passes; the entropy and the clipped
   shares that are logged are those of the others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from trl import GRPOTrainer

from vlmpost.answers import symbolic
from vlmpost.config.batch import BatchPlan
from vlmpost.config.schema import RlConfig
from vlmpost.errors import ConfigError
from vlmpost.models import shared_prompt
from vlmpost.models.completion import Completion
from vlmpost.models.decoding import Request, complete
from vlmpost.models.modes import at_rest
from vlmpost.records import Rollout, Score
from vlmpost.rewards import RewardSet, judged
from vlmpost.training import seams
from vlmpost.training.credit.critic import Critic
from vlmpost.training.credit.estimators import make_estimator, reward_matrix
from vlmpost.training.exact import ExactTrainer
from vlmpost.training.experience_makers import ChosenMaker, ExperienceMaker, PlainMaker, SamplerLogps, Tools
from vlmpost.training.guidance.maker import GuidedMaker, Guides
from vlmpost.training.order import PromptSampler
from vlmpost.training.processes import Processes
from vlmpost.training.rollouts.batch import RolloutBatch, Sums, episode_figures, figures, without_images
from vlmpost.training.rollouts.batch_maker import BatchMaker
from vlmpost.training.rollouts.collector import Collected, Collector, Row
from vlmpost.training.rollouts.figures import length_figures, reward_figures
from vlmpost.training.rollouts.sampler_check import SamplerCheck
from vlmpost.training.rollouts.truncation import TruncationWindow
from vlmpost.training.rollouts.vllm import VllmSampler, Vocabulary
from vlmpost.training.update.entropy import EntropyCoefficient
from vlmpost.training.update.experience import Experience
from vlmpost.training.update.imitation import Imitation
from vlmpost.training.update.losses import PolicyLoss
from vlmpost.training.update.micro_batches import Limits, micro_batches
from vlmpost.training.update.mini_batch import MiniBatch, Noted, chosen, counts, mini_batches
from vlmpost.training.update.scorer import Scorer, TokenScores
from vlmpost.training.update.step_loss import StepLoss

logger = logging.getLogger(__name__)


class PolicyTrainer(ExactTrainer, GRPOTrainer):
    """`GRPOTrainer` with the parts above put in.

    Args:
        config: The recipe.
        plan: How an optimizer step is cut.
        rewards: Scores every rollout.
        guides: Stored traces and pass rates, where the recipe has `guidance`.

    Raises:
        ConfigError: The model cannot do what the recipe asks for.
    """

    def __init__(
        self, *, config: RlConfig, plan: BatchPlan, rewards: RewardSet, guides: Guides | None = None, **kwargs: Any
    ) -> None:  # Any: the arguments of ExactTrainer and GRPOTrainer
        self.config = config
        self.plan = plan
        self.algorithm = config.algorithm
        self.rewards = rewards
        self.last_batch: RolloutBatch | None = None
        self._holds_nothing = False
        super().__init__(reward_funcs=[_named(name) for name in rewards.names], **kwargs)
        self.order = PromptSampler(
            len(self.train_dataset),
            prompts_per_step=self.args.generation_batch_size // self.num_generations,
            num_generations=self.num_generations,
            num_repeats=plan.cycle_steps,
            seed=self.args.seed,
        )
        self.processes = Processes(self.accelerator)
        self.is_sharded = seams.sharding_kind(self) not in {"none", "ddp"}
        self.critic = self._make_critic() if self.algorithm.kind == "ppo" else None
        self.estimator = make_estimator(self.algorithm, rewards, self.processes, self.critic)
        self.limits = Limits(plan.per_device_train_batch_size, config.training.max_tokens_per_forward, self._shares_prompts())
        self.scorer = Scorer(self.limits.shared, self._tokenizer.pad_token_id, self.accelerator.device)
        self.step_loss = StepLoss(
            self.algorithm,
            self._make_policy_loss(),
            EntropyCoefficient.from_arguments(self.args),
            self.critic,
            self.scorer,
            partial(self.processes.gather_uneven, padding=-1.0),
            None if guides is None else Imitation.of(guides.config, max_completion_length=config.generation.max_completion_length),
        )
        self.collector = Collector(
            config,
            rewards=rewards,
            processor=self.processing_class,
            sample=self._sample,
            score=self._score,
            stop_ids={*self.eos_token_ids, self._tokenizer.pad_token_id},
            context_length=self._bare.config.get_text_config().max_position_embeddings,
            anywhere=self.processes.anywhere if self.is_sharded or self.use_vllm else None,
        )
        self.vllm = self._make_vllm() if self.use_vllm else None
        self.sampler_check = SamplerCheck(config, self.args, self._bare.dtype, self.processes)
        self.truncation = TruncationWindow()
        self.maker = self._make_maker(guides)

    @property
    def _bare(self) -> Any:  # Any: a PreTrainedModel or PeftModel
        return self.accelerator.unwrap_model(self.model)

    def _make_critic(self) -> Critic:
        kind = seams.sharding_kind(self)
        if kind not in {"none", "ddp", "fsdp2"}:
            raise ConfigError(
                f"algorithm.kind: ppo trains on one process, with ddp or fsdp2, not under {kind}; use one of them, or algorithm.kind: grpo."
            )
        return Critic(self.model, self.algorithm, seed=self.args.seed, copies_frozen=kind == "fsdp2")

    def _make_policy_loss(self) -> PolicyLoss:
        loss = PolicyLoss.from_arguments(self.args, importance_sampling_level=self.algorithm.importance_sampling_level)
        return replace(loss, beta=0.0) if self.algorithm.kl_in == "reward" else loss

    def _make_vllm(self) -> VllmSampler:
        model = self._bare.get_base_model() if hasattr(self._bare, "get_base_model") else self._bare
        return VllmSampler(
            self.vllm_generation,
            tokenizer=self._tokenizer,
            family=model.config.model_type,
            vocabulary=Vocabulary.of(model, self.processing_class),
            num_generations=self.num_generations,
            source_of=self.collector.source_of,
            step=lambda: self.state.global_step,
            around=nullcontext if self.critic is None else self.critic.taken_off,
        )

    def _make_maker(self, guides: Guides | None) -> ExperienceMaker:
        signal = self.config.signal
        tools = Tools(
            config=self.config,
            rewards=self.rewards,
            collector=self.collector,
            estimator=self.estimator,
            processes=self.processes,
            device=self.accelerator.device,
            scored=self._scored,
            with_reference=self._with_reference,
            samples=self._samples,
        )
        if guides is not None:
            if self.plan.num_trace_steps and self.is_deepspeed_enabled:
                raise ConfigError(
                    "guidance.steps.kind: alternate leaves steps without traces out, which deepspeed does not allow; use joint, fsdp2, ddp."
                )
            return GuidedMaker(
                tools,
                guides,
                dataset=self.train_dataset,
                num_steps=lambda: self.state.max_steps,
                cycle_steps=self.plan.cycle_steps,
                keeps_step=self.is_sharded or self.use_vllm,
            )
        if not (signal.dynamic_sampling or signal.prompt_pools or signal.replay_size):
            return PlainMaker(tools)
        if signal.replay_size and (self.is_sharded or self.use_vllm):
            raise ConfigError(
                "signal.replay_size: used groups cannot be trained with sharded weights (fsdp2, deepspeed) or with trl.use_vllm, "
                f"got {signal.replay_size}; leave it out, or use one process or ddp without vLLM."
            )
        dataset = self.train_dataset
        batch_maker = BatchMaker(self.config, rewards=self.rewards, collector=self.collector, dataset=dataset, processes=self.processes)
        return ChosenMaker(tools, batch_maker)

    def _shares_prompts(self) -> bool:
        """Whether prompts are read once for all their completions; said where they are not."""
        wanted = self.config.training.shared_prompt
        if wanted == "off":
            return False
        reason = shared_prompt.unsupported(self._bare)
        if reason is None:
            return True
        if wanted == "on":
            raise ConfigError(f"training.shared_prompt: on, but {reason}. Use auto or off.")
        logger.warning("Each completion reads its prompt anew (training.shared_prompt: auto): %s.", reason)
        return False

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:  # Any: as Trainer
        """The optimizer, with a group for the critic where it has its own learning rate."""
        made_before = self.optimizer is not None
        optimizer = super().create_optimizer(model)
        if self.critic is not None and self.algorithm.value_learning_rate is not None and not made_before:
            self.critic.own_group(optimizer, learning_rate=self.algorithm.value_learning_rate)
        return optimizer

    def _get_train_sampler(self, dataset: Any = None) -> PromptSampler:  # Any: as TRL
        return self.order

    # --- rollouts ---

    def _prepare_inputs(self, generation_batch: list[Row]) -> MiniBatch:
        """The next mini-batch; a new batch of rollouts when the last one has been used up."""
        place = self._step % self.plan.cycle_steps
        if place == 0 or self._buffered_inputs is None:
            with self.clock.phase("prepare"), torch.no_grad():
                self._buffered_inputs: list[MiniBatch] | None = self._mini_batches(self._experience(generation_batch))
        on_traces = place >= self.plan.num_mini_batches * self.plan.num_iterations
        return self._buffered_inputs[-1 if on_traces else place % self.plan.num_mini_batches]

    def _experience(self, rows: list[Row]) -> Experience:
        """A batch of rollouts, ready for the loss."""
        timeouts_before, judged_before = symbolic.counts().timeouts, judged.counts()
        made = self.maker.make(rows, step=self.state.global_step)
        self.last_batch = made.batch
        self._note(made.figures)
        self._note_sums(made.sums)
        self._note_rollouts(made.sampled)
        seen = judged.counts().num_seen - judged_before.num_seen
        self._note_sums(
            {
                "judge_timeout_share": (float(symbolic.counts().timeouts - timeouts_before), float(sum(map(len, made.sampled)))),
                "model_judged_share": (float(judged.counts().num_decided - judged_before.num_decided), float(seen)),
            }
        )
        if self.config.signal.drop_flat_groups:
            return made.experience.with_tensors(policy_rows=~made.experience.tensors["flat"])
        return made.experience

    def _scored(self, experience: Experience, sampler_logps: SamplerLogps) -> Experience:
        """The experience with log-probabilities and values under the weights that sampled, and the reference's."""
        due = sampler_logps if self.sampler_check.is_due else None
        if self._needs_old_logps or self._needs_entropies or due is not None:
            with self.clock.phase("logps"):
                scores = self._score_tokens(self.model, experience)
            known = experience.with_tensors(old_logps=scores.logps_BC.float())
            if due is not None:
                self.sampler_check.verify(known, due, generator="vLLM" if self.use_vllm else "The decoder")
            experience = known if self._needs_old_logps else experience
            if self._needs_entropies:
                assert scores.entropies_BC is not None, "a policy's head gives entropies"
                experience = experience.with_tensors(entropies=scores.entropies_BC.float())
            if scores.values_BC is not None:
                experience = experience.with_tensors(old_values=scores.values_BC.float())
        if self.vllm is not None and sampler_logps is not None:
            found = self.sampler_check.corrected(experience, sampler_logps)
            self._note(found.figures)
            experience = experience.with_tensors(**found.tensors)
        return self._with_reference(experience)

    @property
    def _needs_old_logps(self) -> bool:
        charged = self.algorithm.kl_in == "reward" and self.algorithm.beta != 0
        several = self.args.steps_per_generation * self.num_iterations > 1
        return several or charged or self.critic is not None or bool(self.config.signal.replay_size) or self.use_vllm

    @property
    def _needs_entropies(self) -> bool:
        """Whether a batch is made by how uncertain the policy was of its tokens."""
        guidance = self.config.guidance
        return guidance is not None and (guidance.grouping.kind == "signed" or any(term.top_entropy_share < 1 for term in guidance.losses))

    def _with_reference(self, experience: Experience) -> Experience:
        if self.beta == 0:
            return experience
        resting = nullcontext() if self.critic is None else self.critic.resting()
        with self.clock.phase("ref_logps"), seams.reference_of(self) as reference, resting:
            return experience.with_tensors(ref_logps=self._score_tokens(reference, experience).logps_BC.float())

    def _score_tokens(self, model: Any, experience: Experience) -> TokenScores:  # Any: a model, wrapped or not
        bare = self.accelerator.unwrap_model(model)
        parts = self._parts(experience)
        # Without dropout, as the tokens were sampled.
        with at_rest(model), self._sharing(bare), self.accelerator.autocast():
            scores = [self.scorer(model, bare, experience.take(rows or [0])) for rows in parts]
        return TokenScores.joined([score for score, rows in zip(scores, parts, strict=True) if rows], [rows for rows in parts if rows])

    def _sharing(self, model: Any) -> AbstractContextManager[None]:
        return shared_prompt.sharing(model) if self.limits.shared else nullcontext()

    def _samples(self, num_rows: int) -> list[int]:
        """Which completion of its prompt each row of this process is; groups may lie across processes."""
        first = self.processes.index * num_rows
        return [(first + row) % self.num_generations for row in range(num_rows)]

    def _sample(self, requests: Sequence[Request]) -> list[Completion]:
        with self.clock.phase("generate"):
            if self.vllm is not None:
                completions = self.vllm(requests)
            else:
                with seams.generating(self) as model, self.accelerator.autocast():
                    completions = complete(
                        model, self.processing_class, requests, config=self.config.generation, keep_logps=self.sampler_check.is_due
                    )
        read = sum(len(request.prompt.token_ids) + len(request.history) for request in requests)
        self.num_sampled_tokens += read + sum(len(completion.token_ids) for completion in completions)
        return completions

    def _score(self, rollouts: Sequence[Rollout]) -> list[Score]:
        """The scores of this process's rollouts; a group that lies across processes is scored whole on each of them."""
        with self.clock.phase("score"):
            if not self.rewards.per_group:
                return self.rewards.score_all(rollouts)
            everywhere = self.processes.gather_objects([without_images(rollout) for rollout in rollouts])
            first = self.processes.index * len(rollouts)
            return self.rewards.score_all(everywhere)[first : first + len(rollouts)]

    # --- the update ---

    def _mini_batches(self, experience: Experience) -> list[MiniBatch]:
        """The parts of a batch that one optimizer step each learns from: whole groups, the same for any number of processes."""
        num_parts = self.plan.num_mini_batches
        parts = [
            chosen(experience, [row for row, own in enumerate(self._parts_of_rows(experience)) if own == part])
            for part in range(num_parts + self.plan.num_trace_steps)
        ]
        sums = self.processes.sum(torch.stack([counts(part) for part in parts]))
        return mini_batches(parts, sums / self.processes.count, num_rollout_steps=num_parts)

    def _parts_of_rows(self, experience: Experience) -> list[int]:
        """Which of the parts each row belongs to."""
        num_parts = self.plan.num_mini_batches
        if "groups" not in experience.tensors:
            first = self.processes.index * len(experience)
            return [(first + row) // self.num_generations % num_parts for row in range(len(experience))]
        places = zip(experience.tensors["groups"].tolist(), experience.tensors["in_trace_step"].tolist(), strict=True)
        return [num_parts if on_traces else place % num_parts for place, on_traces in places]

    def training_step(self, model: torch.nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        with self._sharing(self._bare):  # backward included: checkpointed layers run once more there
            loss = super().training_step(model, inputs, num_items_in_batch)
        if self._holds_nothing:
            model.zero_grad(set_to_none=True)  # the optimizer leaves weights without a gradient alone, its moments included
        return loss

    def compute_loss(self, model: torch.nn.Module, inputs: MiniBatch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The loss of one optimizer step; all of its forward passes but the last have gone backward when it returns."""
        self._holds_nothing = _is_empty(inputs)
        moving = inputs.experience.take(self.step_loss.moving_rows(inputs.experience))
        parts = [chosen(moving, rows) for rows in self._parts(moving, needs_all=self.step_loss.needs_all_processes)]
        noted = Noted()
        done = torch.zeros((), device=self.accelerator.device)
        for part in parts[:-1]:
            with seams.without_sync(self.accelerator, model):
                loss = self._loss(model, part, inputs, noted)
                self.accelerator.backward(loss)
            done += loss.detach()
        loss = self._loss(model, parts[-1], inputs, noted)
        if inputs.guided is not None:
            self._note(inputs.guided.figures(num_processes=self.processes.count))
        figures_of_step = self._note_sums({**noted.sums, "policy_loss": (noted.policy_loss, 1.0)})
        if "bonus_entropy" in figures_of_step:
            self.step_loss.entropy_coefficient.update(figures_of_step["bonus_entropy"])
        return loss + done

    def _loss(self, model: torch.nn.Module, part: Experience, batch: MiniBatch, noted: Noted) -> torch.Tensor:
        self.last_inputs = part.described()
        with self.accelerator.autocast():
            state = self.state
            return self.step_loss(model, self._bare, part, batch, noted, step=state.global_step, num_steps=state.max_steps)

    def _parts(self, experience: Experience, *, needs_all: bool = False) -> list[list[int]]:
        """The rows of each forward pass; processes take equally many where a pass needs them all."""
        lengths = [len(prompt.token_ids) for prompt in experience.prompts]
        completions = [len(completion) for completion in experience.completions]
        parts = micro_batches(completions, experience.owners, lengths, self.limits)
        if not (self.is_sharded or needs_all):
            return parts
        most = self.processes.largest(len(parts))
        return micro_batches(completions, experience.owners, lengths, self.limits, at_least=most)

    # --- figures ---

    def _note(self, means: Mapping[str, float]) -> None:
        """Notes figures for the log; they are the same on every process."""
        for name, mean in means.items():
            self._metrics["train"][name].append(mean)

    def _note_sums(self, sums: Sums) -> dict[str, float]:
        """Adds this process's (sum, count) pairs to all others', notes the means and returns them."""
        means = self.processes.means(sums)
        self._note(means)
        return means

    def _note_rollouts(self, sampled: Sequence[Collected]) -> None:
        """Notes what the rollouts of all rounds show; processes may have sampled different numbers of them."""
        batch = RolloutBatch.joined(collected.batch for collected in sampled)
        prompt_lengths = [len(collected.prompts[owner].token_ids) for collected in sampled for owner in collected.owners]
        sums = figures(batch, image_token_ids=self.generation_kwargs["suppress_tokens"])
        self._note_sums(sums | (episode_figures(batch) if self.config.episode is not None else {}))
        own = [
            (len(rollout.token_ids), rollout.stop_reason == "length", prompt_length, last)
            for rollout, prompt_length, last in zip(batch.rollouts, prompt_lengths, _last_lengths(batch), strict=True)
        ]
        everywhere = self.processes.gather_objects(own)
        if not everywhere:
            return
        lengths, cut, read, last = torch.tensor(everywhere).T
        self.state.num_input_tokens_seen += int(lengths.sum() + read.sum())
        self._metrics["train"]["num_tokens"] = [self.state.num_input_tokens_seen]
        self._note(length_figures(lengths, cut.bool()))
        rewards = torch.tensor(self.processes.gather_objects(reward_matrix(batch, self.rewards).tolist()))
        self._note(reward_figures(rewards, self.rewards))
        self.truncation.add(last.tolist(), cut.bool().tolist())
        self._note(self.truncation.figures())

    def _get_grad_norm(self, model: torch.nn.Module, grad_norm: Any = None) -> Any:  # Any: as Trainer
        norm = super()._get_grad_norm(model, grad_norm)
        if isinstance(self.maker, GuidedMaker) and not self._holds_nothing:
            self.maker.note_gradient(0.0 if norm is None else float(norm), step=self.state.global_step)
        return norm

    # --- checkpoints ---

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Writes the model, and within a checkpoint the critic beside it."""
        super().save_model(output_dir, _internal_call)
        if self.critic is not None and _internal_call:  # every process comes here
            self.critic.save(Path(output_dir or self.args.output_dir), writes=self.args.should_save)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        with nullcontext() if self.critic is None else self.critic.taken_off():
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.critic is not None:
            self.critic.load(Path(resume_from_checkpoint))

    def _loop_state(self) -> dict[str, Any]:  # Any: JSON values
        state = super()._loop_state()
        state["entropy_coefficient"] = self.step_loss.entropy_coefficient.state_dict()
        state["truncation"] = self.truncation.state_dict()
        state["maker"] = self.maker.state_dict()
        return state

    def restore_loop_state(self) -> None:
        """Puts back what `Trainer` forgets, and what the parts remember."""
        super().restore_loop_state()
        state = self._saved_loop_state()
        if state is None:
            return
        self.step_loss.entropy_coefficient.load_state_dict(state["entropy_coefficient"])
        self.truncation.load_state_dict(state["truncation"])
        self.maker.load_state_dict(state["maker"])


def _is_empty(batch: MiniBatch) -> bool:
    """Whether no process has anything to learn in a step."""
    return batch.guided is not None and not batch.totals.num_rows and not any(role.num_sequences for role in batch.guided.by_role.values())


def _last_lengths(batch: RolloutBatch) -> list[int]:
    """The tokens of each rollout's last reply, which is the one that may have been cut."""
    return [(rollout.reply_lengths or (len(rollout.token_ids),))[-1] for rollout in batch.rollouts]


def _named(name: str) -> Any:  # Any: TRL takes any callable
    """A stand-in that gives TRL the name of a reward term; it is never called."""

    def stand_in(**kwargs: object) -> list[float]:
        raise AssertionError(f"{name} is scored by RewardSet")

    stand_in.__name__ = name
    return stand_in
