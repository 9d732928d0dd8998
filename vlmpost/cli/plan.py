"""`vlmpost plan`: what a recipe will take, from the recipe, a look at the data and the model folder's headers. No weights, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vlmpost.cli.options import JsonOption, RecipeArgument, SetOption, print_json

if TYPE_CHECKING:
    from vlmpost.cli.prepare import Prepared
    from vlmpost.config.batch import BatchPlan
    from vlmpost.config.schema import RlConfig, SftConfig
    from vlmpost.models.memory import Phase, Shape
    from vlmpost.records import Example

CHARACTERS_PER_TOKEN = 3.0
"""A cautious guess for text; `vlmpost data check` counts."""
FEEDBACK_TOKENS = 64
"""About how long a verifier's message is, with the turn around it."""
_SAMPLED_EXAMPLES = 32


@dataclass(frozen=True)
class Lengths:
    """Tokens of one sequence, as far as a look at some examples tells: means, and the longest seen."""

    text: float
    image: float
    solution: float
    max_prompt: int
    max_solution: int
    max_image_patches: int


def plan(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    kind: Annotated[
        Literal["sft", "rl"] | None, typer.Option(help="The command; default: seen from the recipe.", show_default=False)
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs that share the training.", min=1, show_default=False)] = None,
    gpu_memory: Annotated[float, typer.Option(help="Memory of one GPU, in GB.", min=1)] = 80.0,
    as_json: JsonOption = False,
) -> None:
    """Steps, tokens, batch arithmetic, checkpoint size and memory of a recipe, without loading a model."""
    from vlmpost.cli.prepare import Prepared, kind_of, prepare
    from vlmpost.cli.sharing import Sharing, memory_text, shape_of, sharded_memory

    prepared = prepare(kind or kind_of(recipe), recipe, overrides)
    shape = shape_of(prepared.config.model.path)
    sharing = None if gpus is None else Sharing(gpus, gpu_memory)
    if sharing is not None:
        prepared = Prepared(prepared.loaded, sharing.batch_of(prepared.config))
    figures = plan_figures(prepared, shape)
    shared = {} if sharing is None else sharded_memory(prepared, shape, sharing)
    if as_json:
        print_json(figures | ({"sharded_memory_bytes": shared} if shared else {}))
        return
    for line in _lines(prepared, figures):
        print(line)
    if shared:
        print(f"memory of each of {gpus} GPUs that share weights, gradients and optimizer, in bfloat16 (estimate; 20 % more must fit):")
    for name, parts in shared.items():
        print(f"  {name:10} {memory_text(parts, sharing)}")


def model_folder(path: str) -> Path:
    """The folder of a recipe's model.

    Raises:
        ModelError: It is not on this machine.
    """
    from vlmpost.errors import ModelError

    if path == "nano":
        return Path(__file__).resolve().parent.parent / "models" / "nano"
    if not Path(path).is_dir():
        raise ModelError(f"{path}: not a folder on this machine, and plan downloads nothing. Download it, or give its folder.")
    return Path(path)


def plan_figures(prepared: Prepared, shape: Shape) -> dict[str, object]:
    """Every number of the plan by name; sizes in bytes, lengths in tokens."""
    from vlmpost.cli.summary import count_examples
    from vlmpost.config.schema import RlConfig
    from vlmpost.models import memory

    config, batch = prepared.config, prepared.batch
    num_examples, _ = count_examples(config.data)
    lengths = look(sampled_examples(config), shape, config)
    steps = batch.num_steps(
        num_examples=num_examples, num_train_epochs=config.training.num_train_epochs, max_steps=config.training.max_steps
    )
    num_bytes, dtype = _number_format(config)
    trainable = num_trainable(config, shape)
    sequence = lengths.max_prompt + (completion_tokens(config) if isinstance(config, RlConfig) else lengths.max_solution)
    completion = completion_tokens(config) if isinstance(config, RlConfig) else lengths.solution
    per_step = batch.sequences_per_optimizer_step
    return {
        "kind": prepared.loaded.kind,
        "num_examples": num_examples,
        "num_steps": steps,
        "sequences_per_step": per_step,
        "batch": batch.lines(),
        "text_tokens": round(lengths.text, 1),
        "image_tokens": round(lengths.image, 1),
        "max_sequence_tokens": sequence,
        "total_tokens": round(num_sequences(config, batch, steps=steps) * (lengths.text + lengths.image + completion)),
        "num_parameters": shape.num_parameters,
        "num_trainable_parameters": trainable,
        "dtype": dtype,
        "checkpoint_bytes": memory.checkpoint_bytes(
            num_parameters=shape.num_parameters, num_trainable=trainable, num_bytes=num_bytes, use_peft=config.model.use_peft
        ),
        "checkpoints_kept": config.checkpoints.save_total_limit or math.ceil(steps / config.checkpoints.save_steps),
        "memory_bytes": {
            phase.name: {**phase.parts, "total": phase.total}
            for phase in phases(prepared, shape, lengths=lengths, num_bytes=num_bytes, trainable=trainable)
        },
    }


def num_sequences(config: SftConfig | RlConfig, batch: BatchPlan, *, steps: int) -> int:
    """Sequences of a whole run: examples, or rollouts and rows of traces, as many of these as there can be."""
    from vlmpost.config.schema import RlConfig

    per_step = batch.sequences_per_optimizer_step
    if not isinstance(config, RlConfig) or config.guidance is None:
        return steps * per_step
    rows = config.guidance.traces.rows
    traces = {"stream": config.guidance.traces.per_step, "beside": batch.prompts_per_step}.get(rows, 0)
    num_batches, rest = divmod(steps, batch.cycle_steps)
    on_rollouts = num_batches * (batch.cycle_steps - batch.num_trace_steps) + min(rest, batch.cycle_steps - batch.num_trace_steps)
    if batch.num_trace_steps:
        return on_rollouts * per_step + (steps - on_rollouts) * (traces or batch.prompts_per_step)
    return steps * (per_step + traces // batch.num_mini_batches)


def phases(prepared: Prepared, shape: Shape, *, lengths: Lengths, num_bytes: int, trainable: int) -> list[Phase]:
    """What each phase of the run holds."""
    from vlmpost.config.schema import RlConfig
    from vlmpost.models.memory import sampling_phase, training_phase

    config, batch = prepared.config, prepared.batch
    reference = isinstance(config, RlConfig) and config.algorithm.beta > 0 and not config.model.use_peft
    completion = completion_tokens(config) if isinstance(config, RlConfig) else lengths.max_solution
    shares = isinstance(config, RlConfig) and config.training.shared_prompt != "off"
    prompts_per_pass = math.ceil(batch.per_device_train_batch_size / (batch.num_generations if shares else 1))
    tokens = prompts_per_pass * lengths.max_prompt + batch.per_device_train_batch_size * completion
    if isinstance(config, RlConfig) and config.training.max_tokens_per_forward is not None:
        tokens = min(tokens, max(config.training.max_tokens_per_forward, lengths.max_prompt + completion))
    result = [
        training_phase(
            shape,
            num_bytes=num_bytes,
            num_trainable=trainable,
            trains_vision=not config.model.freeze_vision_tower,
            tokens=tokens,
            image_patches=prompts_per_pass * lengths.max_image_patches,
            checkpointing=config.training.gradient_checkpointing,
            has_reference=reference,
            four_bit=config.model.load_in_4bit,
            has_own_critic=isinstance(config, RlConfig) and config.algorithm.kind == "ppo" and config.algorithm.critic == "separate",
        )
    ]
    if isinstance(config, RlConfig):
        completions = min(batch.generation_batch_size // batch.world_size, config.generation.max_concurrent)
        num_prompts = math.ceil(completions / batch.num_generations)
        sampling = sampling_phase(
            shape,
            num_bytes=num_bytes,
            num_trainable=trainable,
            completions=completions,
            tokens=num_prompts * lengths.max_prompt + completions * completion,
            has_reference=reference,
            four_bit=config.model.load_in_4bit,
        )
        result.insert(0, sampling)
    return result


def completion_tokens(config: RlConfig) -> int:
    """The most tokens a completion may have; of an episode, all replies and about what the verifier says between them."""
    attempts = 1 if config.episode is None else config.episode.verify_iterations
    return attempts * config.generation.max_completion_length + (attempts - 1) * FEEDBACK_TOKENS


def num_trainable(config: SftConfig | RlConfig, shape: Shape) -> int:
    """Parameters that training changes: adapters, or the weights that are not frozen."""
    from vlmpost.models.memory import num_lora_parameters

    if config.model.use_peft:
        return num_lora_parameters(shape, rank=config.model.lora_r)
    frozen = shape.num_vision_parameters if config.model.freeze_vision_tower else 0
    frozen += shape.num_projector_parameters if config.model.freeze_multi_modal_projector else 0
    return shape.num_parameters - frozen


def sampled_examples(config: SftConfig | RlConfig) -> list[Example]:
    """A few examples of each training source.

    Raises:
        DataError: A source cannot be read.
    """
    from vlmpost.data import collect

    each = max(1, _SAMPLED_EXAMPLES // len(config.data.train))
    few = [source.model_copy(update={"num_examples": min(each, source.num_examples or each)}) for source in config.data.train]
    examples, _ = collect(few, base_dir=None)
    return examples


def look(examples: Sequence[Example], shape: Shape, config: SftConfig | RlConfig) -> Lengths:
    """Lengths of the examples; images are measured, not decoded, and scaled into the pixel budget."""
    from vlmpost.errors import DataError
    from vlmpost.media.images import image_size
    from vlmpost.models.memory import image_tokens

    limit = config.model.image_max_pixels or shape.default_max_pixels
    instruction = len(config.data.instruction or "")
    texts, images, solutions, patches = [], [], [], []
    for example in examples:
        pixels = []
        for image in example.images:
            try:
                width, height = image_size(image)
            except DataError:
                continue  # `vlmpost data check` names it; a plan only needs the others
            pixels.append(min(width * height, limit) if limit else width * height)
        characters = sum(len(message.text) for message in example.prompt) + instruction
        texts.append(math.ceil(characters / CHARACTERS_PER_TOKEN))
        images.append(sum(image_tokens(shape, pixels=count) for count in pixels))
        solutions.append(math.ceil(len(example.solution or "") / CHARACTERS_PER_TOKEN))
        patches.append(math.ceil(sum(pixels) / shape.patch_pixels))
    prompts = [text + image for text, image in zip(texts, images, strict=True)]
    longest = max(prompts, default=0)
    return Lengths(
        text=_mean(texts),
        image=_mean(images),
        solution=_mean(solutions),
        max_prompt=min(longest, config.data.max_prompt_length or longest),
        max_solution=max(solutions, default=0),
        max_image_patches=max(patches, default=0),
    )


def _mean(values: Sequence[int]) -> float:
    return sum(values) / len(values) if values else 0.0


def _number_format(config: SftConfig | RlConfig) -> tuple[int, str]:
    """Bytes of one number, and the type's name; auto is what the loader would take on this machine."""
    from vlmpost.models.memory import BYTES
    from vlmpost.runs.manifest import gpus

    dtype: str = config.model.dtype
    if dtype == "auto":
        dtype = "bfloat16" if config.model.device != "cpu" and gpus() else "float32"
    return BYTES[dtype], dtype


def _lines(prepared: Prepared, figures: dict[str, object]) -> list[str]:
    shown = {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in figures.items()}
    memory = figures["memory_bytes"]
    assert isinstance(memory, dict), memory
    share = int(str(figures["num_trainable_parameters"])) / int(str(figures["num_parameters"]))
    lines = [
        f"recipe       {prepared.loaded.path} ({shown['kind']})",
        f"model        {prepared.config.model.path}: {shown['num_parameters']} parameters, {share:.1%} trained, {shown['dtype']}",
        f"examples     {shown['num_examples']}; about {shown['text_tokens']} text and {shown['image_tokens']} image tokens each",
        *(f"batch        {line}" for line in prepared.batch.lines()),
        f"steps        {shown['num_steps']} of {shown['sequences_per_step']} sequences, {shown['max_sequence_tokens']} tokens at most",
        f"tokens       {shown['total_tokens']} in the whole run, at most",
        f"checkpoint   {_size(figures['checkpoint_bytes'])} each, {shown['checkpoints_kept']} kept",
        "memory of one process, without sharding (estimate; expect 20 % more):",
    ]
    for name, parts in memory.items():
        named = ", ".join(f"{part} {_size(size)}" for part, size in parts.items() if part != "total" and size)
        lines.append(f"  {name:10} {_size(parts['total']):>9}  {named}")
    return lines


def _size(count: object) -> str:
    """A size in words.

    >>> _size(5 * 2**20)
    '5.0 MiB'
    """
    value = float(str(count))
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
