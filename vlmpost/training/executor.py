"""One run from recipe to final model: data, audit, model, trainer, checkpoints, final folder.

`run_sft` and `run_rl` differ only in the trainer they make. The run directory exists already; only its writing process writes.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import transformers
from peft import PeftModel

from vlmpost import jsonl, rewards
from vlmpost.config.batch import BatchPlan, plan_rl, plan_sft
from vlmpost.config.guidance import GuidanceConfig
from vlmpost.config.schema import ModelConfig, RlConfig, SftConfig
from vlmpost.data.audit import prepare
from vlmpost.errors import ConfigError, DataError, ModelError, TrainingStopped, VlmpostError
from vlmpost.models import export, loader
from vlmpost.models.adapters import is_adapter
from vlmpost.models.families import vision_token_ids
from vlmpost.models.loader import LoadedModel
from vlmpost.records import Example
from vlmpost.reports.progress import Progress, SilentProgress
from vlmpost.runs.directory import TEMPORARY_PREFIX, RunDirectory, disk, world_size
from vlmpost.runs.manifest import examples_hash
from vlmpost.runs.metrics import read_metrics
from vlmpost.runs.resume import pin
from vlmpost.runs.status import write_status
from vlmpost.training import checkpointing, seams
from vlmpost.training.arguments import grpo_arguments, sft_arguments
from vlmpost.training.callbacks import RolloutCallback, RunCallback
from vlmpost.training.dataset import has_mixed_rows, rl_dataset, sft_dataset
from vlmpost.training.doctor import Doctor
from vlmpost.training.exact import ExactTrainer
from vlmpost.training.guidance.maker import Guides
from vlmpost.training.guidance.pass_rates import PassRates
from vlmpost.training.guidance.traces import TraceStore
from vlmpost.training.nonfinite import save_batch
from vlmpost.training.policy import PolicyTrainer
from vlmpost.training.sft import SupervisedTrainer
from vlmpost.training.shift_callback import ShiftCallback
from vlmpost.training.stop_request import StopRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What every run has before its trainer is made."""

    run: RunDirectory
    loaded: LoadedModel
    examples: Sequence[Example]
    plan: BatchPlan
    save_steps: int
    progress: Progress


def run_sft(
    config: SftConfig, run: RunDirectory, *, resume: bool = False, progress: Progress | None = None, base_dir: Path | None = None
) -> Path:
    """Fine-tunes on solutions; returns the folder of the final model.

    Args:
        config: The recipe.
        run: Its run directory, created or opened for resume.
        resume: Go on from the newest sound checkpoint; from the beginning where there is none.
        progress: The display of the writing process. None: silent.
        base_dir: The folder that relative data paths start from.

    Raises:
        UserError: Something the user can mend.
        TrainingStopped: A signal or a fatal finding ended the run; everything is saved.
    """

    def make_trainer(parts: _Parts) -> SupervisedTrainer:
        args = sft_arguments(
            config,
            plan=parts.plan,
            device=parts.loaded.device.type,
            dtype=parts.loaded.dtype,
            output_dir=run.path,
            save_steps=parts.save_steps,
        )
        return SupervisedTrainer(
            model=parts.loaded.model,
            args=args,
            train_dataset=sft_dataset(parts.examples, instruction=config.data.instruction),
            processing_class=parts.loaded.processor,
            examples_per_step=config.training.examples_per_step,
            run=run,
            save_total_limit=config.checkpoints.save_total_limit,
        )

    return _execute(
        config,
        run,
        plan=plan_sft(config.training, world_size=world_size()),
        make_trainer=make_trainer,
        resume=resume,
        progress=progress,
        base_dir=base_dir,
    )


def run_rl(
    config: RlConfig, run: RunDirectory, *, resume: bool = False, progress: Progress | None = None, base_dir: Path | None = None
) -> Path:
    """Trains with rewards; arguments, result and errors as `run_sft`."""
    reward_set = rewards.build(
        config.rewards, max_completion_length=config.generation.max_completion_length, pixel_budget=config.model.pixel_budget
    )
    if config.algorithm.kind == "grpo" and config.algorithm.advantage_estimator != "reinforce_plus_plus":
        reward_set.check_undiscounted()

    def make_trainer(parts: _Parts) -> PolicyTrainer:
        loaded = parts.loaded
        _check_answers(parts.examples, reward_set, progress=parts.progress)
        args = grpo_arguments(
            config,
            plan=parts.plan,
            device=loaded.device.type,
            dtype=loaded.dtype,
            output_dir=run.path,
            save_steps=parts.save_steps,
            weights=reward_set.weights,
            suppress_tokens=vision_token_ids(loaded.family, loaded.processor.tokenizer),
        )
        guides = None if config.guidance is None else _guides(config, config.guidance, parts, base_dir=base_dir)
        rows = rl_dataset(parts.examples, instruction=config.data.instruction, prompts_per_step=config.training.prompts_per_step)
        with _reference_on_disk(loaded, beta=config.algorithm.beta, other=config.reference_model):
            trainer = PolicyTrainer(
                config=config,
                plan=parts.plan,
                rewards=reward_set,
                guides=guides,
                model=loaded.model,
                args=args,
                train_dataset=rows,
                processing_class=loaded.processor,
                run=run,
                save_total_limit=config.checkpoints.save_total_limit,
            )
        if config.logging.num_logged_rollouts:
            trainer.add_callback(
                RolloutCallback(
                    run=run,
                    batch=lambda: trainer.last_batch,
                    every_steps=config.logging.rollout_steps,
                    limit=config.logging.num_logged_rollouts,
                )
            )
        return trainer

    return _execute(
        config,
        run,
        plan=plan_rl(config.training, config.algorithm, world_size=world_size(), guidance=config.guidance),
        make_trainer=make_trainer,
        resume=resume,
        progress=progress,
        base_dir=base_dir,
    )


def _execute(
    config: SftConfig | RlConfig,
    run: RunDirectory,
    *,
    plan: BatchPlan,
    make_trainer: Callable[[_Parts], ExactTrainer],
    resume: bool,
    progress: Progress | None,
    base_dir: Path | None,
) -> Path:
    shown = progress if progress is not None and run.writes else SilentProgress()
    phase = "sft" if isinstance(config, SftConfig) else "rl"
    try:
        with StopRequest() as stop_request:
            parts = _prepare(config, run, phase=phase, plan=plan, progress=shown, base_dir=base_dir)
            trainer = _made(make_trainer, parts, trl=config.trl)
            return _train(config, parts, trainer, phase=phase, resume=resume, stop_request=stop_request)
    except TrainingStopped as error:
        write_status(run, state="stopped", phase=phase, step=_last_step(run), message=str(error))
        raise
    except VlmpostError as error:
        write_status(run, state="failed", phase=phase, step=_last_step(run), message=str(error))
        raise
    finally:
        shown.stop()


def _made(make_trainer: Callable[[_Parts], ExactTrainer], parts: _Parts, *, trl: Mapping[str, object]) -> ExactTrainer:
    """The trainer; what TRL refuses while it is made is laid to the recipe's `trl:` block if it has one."""
    try:
        return make_trainer(parts)
    except (ValueError, TypeError, ImportError, NotImplementedError) as error:
        if not trl:
            raise
        raise ConfigError(f"trl: TRL refuses {', '.join(sorted(trl))}: {' '.join(str(error).split())}") from error


def _prepare(
    config: SftConfig | RlConfig, run: RunDirectory, *, phase: str, plan: BatchPlan, progress: Progress, base_dir: Path | None
) -> _Parts:
    _hush()
    write_status(run, state="running", phase="data", step=0)
    progress.phase("reading and checking the data")
    examples, ledger = prepare(
        config.data.train, loader.load_processor(config.model), data=config.data, with_solution=phase == "sft", base_dir=base_dir
    )
    if run.writes:
        said = [row for row in ledger.to_rows() if row["event"] != "kept"]
        jsonl.replace_json(run.ledger_path, {"rows": said})
    _check_enough(examples, plan=plan, phase=phase)
    progress.phase(f"loading the model {config.model.path}")
    loaded = loader.load(config.model, purpose="sft" if phase == "sft" else "rl", seed=config.training.seed)
    facts = {"model_hash": loaded.model_hash, "chat_template_hash": loaded.chat_template_hash, "pixel_budget": loaded.pixel_budget}
    pin(run, {"data_hashes": {"train": examples_hash(examples)}, **facts})
    for line in plan.lines():
        progress.phase(line)
    cycle_steps = plan.cycle_steps
    save_steps = checkpointing.aligned_save_steps(config.checkpoints.save_steps, cycle_steps=cycle_steps)
    if save_steps != config.checkpoints.save_steps:
        progress.note(
            f"checkpoints every {save_steps} steps, not {config.checkpoints.save_steps}: {cycle_steps} steps share one batch of rollouts"
        )
    return _Parts(run, loaded, examples, plan, save_steps, progress)


def _train(
    config: SftConfig | RlConfig, parts: _Parts, trainer: ExactTrainer, *, phase: str, resume: bool, stop_request: StopRequest
) -> Path:
    run, progress = parts.run, parts.progress
    model = parts.loaded.model
    seams.guard_sharding(
        model.get_base_model() if isinstance(model, PeftModel) else model,
        kind=seams.sharding_kind(trainer),
        mixed_rows=has_mixed_rows(parts.examples),
        full_finetuning=not isinstance(model, PeftModel),
    )
    checkpoint = _checkpoint_to_resume(run, progress) if resume else None
    trainer.accelerator.wait_for_everyone()  # all read the rows that are left, so that all doctors agree
    callback = RunCallback(
        run=run,
        phase=phase,
        progress=progress,
        doctor=Doctor(read_metrics(run) if checkpoint else ()),
        on_fatal=config.logging.doctor,
        stop_request=stop_request,
        cycle_steps=parts.plan.cycle_steps,
    )
    trainer.add_callback(callback)
    shifts = _shift_callback(config, parts, trainer)
    if shifts is not None:
        trainer.add_callback(shifts)
    if checkpoint is not None and run.checkpoint_step(checkpoint) >= _num_steps(config, parts):
        trainer.load_finished(checkpoint)
        if shifts is not None:
            shifts.measure(trainer.state.global_step)
    else:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    step = trainer.state.global_step
    if callback.stopped_by_signal and step < trainer.state.max_steps:
        raise TrainingStopped(f"stopped by a signal after step {step} of {trainer.state.max_steps}; go on with --resume.", 130)
    if callback.fatal is not None:
        saved = save_batch(run.logs_dir, trainer.last_inputs, step=step, rank=trainer.args.process_index)
        raise TrainingStopped(f"the doctor stopped the run after step {step}: {callback.fatal} The batch is in {saved}.")
    progress.phase(f"writing {run.final_dir}")
    _save_final(trainer, parts)
    write_status(run, state="finished", phase="done", step=step, num_steps=trainer.state.max_steps)
    return run.final_dir


def _shift_callback(config: SftConfig | RlConfig, parts: _Parts, trainer: ExactTrainer) -> ShiftCallback | None:
    if config.shifts is None:
        return None
    return ShiftCallback(
        config.shifts,
        run=parts.run,
        loaded=parts.loaded,
        trainer=trainer,
        instruction=config.data.instruction,
        progress=parts.progress,
        num_iterations=config.algorithm.num_iterations if isinstance(config, RlConfig) else None,
    )


def _num_steps(config: SftConfig | RlConfig, parts: _Parts) -> int:
    training = config.training
    return parts.plan.num_steps(num_examples=len(parts.examples), num_train_epochs=training.num_train_epochs, max_steps=training.max_steps)


def _checkpoint_to_resume(run: RunDirectory, progress: Progress) -> Path | None:
    """The checkpoint to go on from, with the rows after it removed from the run's files."""
    newest, sound = run.latest_checkpoint(), checkpointing.latest_sound(run)
    if newest is not None and sound != newest:
        found = checkpointing.fault(newest)
        progress.note(f"{newest.name} is damaged ({found}); going back to {sound.name if sound else 'the beginning'}")
    step = 0 if sound is None else run.checkpoint_step(sound)
    if sound is not None and checkpointing.world_size_of(sound) != world_size():
        progress.note(
            f"{sound.name} was written by {checkpointing.world_size_of(sound)} processes, this run has {world_size()}: "
            "sampling with generation.seeding batch will differ from an uninterrupted run"
        )
    if run.writes:
        for path in (run.metrics_path, run.rollouts_path, run.shifts_path):
            checkpointing.keep_rows_up_to(path, step)
    if sound is None:
        progress.note("no checkpoint to go on from; starting at step 0")
    return sound


def _save_final(trainer: ExactTrainer, parts: _Parts) -> None:
    """Writes the final folder under a scratch name and renames it: a model, or with LoRA an adapter that names its base."""
    final_dir = parts.run.final_dir
    scratch = final_dir.with_name(f"{TEMPORARY_PREFIX}{final_dir.name}")
    if parts.run.writes:
        shutil.rmtree(scratch, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    model = trainer.accelerator.unwrap_model(trainer.model)
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        weights = seams.whole_weights(trainer)
        if parts.run.writes:
            model.save_pretrained(str(scratch), state_dict=weights)
            parts.loaded.processor.save_pretrained(str(scratch))
    elif parts.run.writes:
        if isinstance(model, PeftModel) and seams.REFERENCE_ADAPTER in model.peft_config:
            model.delete_adapter(seams.REFERENCE_ADAPTER)
        export.save(model, parts.loaded.processor, scratch)
    trainer.accelerator.wait_for_everyone()
    if parts.run.writes:
        with disk(final_dir):
            if final_dir.exists():
                shutil.rmtree(final_dir)
            os.rename(scratch, final_dir)


@contextmanager
def _reference_on_disk(loaded: LoadedModel, *, beta: float, other: str | None) -> Iterator[None]:
    """Inside the block the model's name is a folder with the reference's weights, which TRL reads the reference model from.

    Those of `other`, or its own present ones; that is the folder it came from, unless an adapter was merged into it.
    """
    merged = loaded.path != loaded.base_path and not isinstance(loaded.model, PeftModel)
    if not beta or not (merged or other is not None):
        yield
        return
    name = loaded.model.config._name_or_path
    with tempfile.TemporaryDirectory(prefix="vlmpost-reference-") as folder:
        own = None if other is not None else export.save(loaded.model, loaded.processor, Path(folder) / "model")
        loaded.model.config._name_or_path = str(own or _reference_folder(other or ""))
        try:
            yield
        finally:
            loaded.model.config._name_or_path = name


def _reference_folder(path: str) -> Path:
    folder = loader.resolve_folder(ModelConfig(path=path))
    if is_adapter(folder):
        raise ModelError(
            f"reference_model: {path} is an adapter, and a reference needs whole weights; merge it: vlmpost merge {path} -o DIR."
        )
    return folder


def _hush() -> None:
    """Keeps other packages' bars and deprecations off the display, which is ours."""
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|accelerate)\b")


def _guides(config: RlConfig, guidance: GuidanceConfig, parts: _Parts, *, base_dir: Path | None) -> Guides:
    """The stored traces and pass rates of a guided run, pinned in its manifest."""
    begins_replies = guidance.hint.law != "none" and guidance.hint.placement == "reply"
    traces = TraceStore(
        guidance.traces,
        parts.examples,
        processor=parts.loaded.processor,
        max_tokens=config.generation.max_completion_length if begins_replies else None,
        base_dir=base_dir,
    )
    path = guidance.pass_rate.path
    rates = PassRates() if path is None else PassRates.read((base_dir or Path()) / path)
    num_known = sum(rates.rate(example.id) is not None for example in parts.examples)
    if path is not None and not num_known:
        raise DataError(f"guidance.pass_rate.path: {path} knows none of the {len(parts.examples)} questions of data.train by its id.")
    if path is not None:
        parts.progress.note(f"pass rates of {num_known} of {len(parts.examples)} questions are known from {path}")
    pin(parts.run, {"guidance_hashes": {"traces": traces.hash, "pass_rates": rates.hash}})
    return Guides(guidance, traces, rates)


def _check_enough(examples: Sequence[Example], *, plan: BatchPlan, phase: str) -> None:
    if len(examples) >= plan.prompts_per_step:
        return
    key, what = ("examples_per_step", "examples") if phase == "sft" else ("prompts_per_step", "prompts")
    raise DataError(
        f"data.train: {what} left: {len(examples)}, and one step needs training.{key} = {plan.prompts_per_step}. "
        f"Give more data or lower training.{key}."
    )


def _check_answers(examples: Sequence[Example], reward_set: rewards.RewardSet, *, progress: Progress) -> None:
    """Accuracy does not apply to an example without an answer: where nothing else is rewarded, nothing would be learnt."""
    num_without = sum(example.answer is None for example in examples)
    if not num_without or "accuracy" not in (term.source for term in reward_set.terms):
        return
    if num_without == len(examples) and len(reward_set.terms) == 1:
        raise DataError(
            f"data.train: none of the {num_without} examples has an answer, so the reward accuracy applies to none. "
            "Give the rows an answer (columns: {answer: THEIRS}), or add a reward that needs none."
        )
    progress.note(f"{num_without} of {len(examples)} examples have no answer: the reward accuracy does not apply to them")


def _last_step(run: RunDirectory) -> int:
    newest = run.latest_checkpoint()
    return 0 if newest is None else run.checkpoint_step(newest)
