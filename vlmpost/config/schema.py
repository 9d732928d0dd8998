"""What a recipe may say: one typed, closed schema per command.

Each field's docstring is its help text (`vlmpost config rl` prints it). Names are TRL's where TRL has one. A default lives
here and nowhere else. Nothing in this file imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from vlmpost.config import guidance_presets, presets
from vlmpost.config.guidance import GuidanceConfig
from vlmpost.config.section import Section

Share = float
"""A fraction from 0 to 1."""


class ModelConfig(Section):
    """Which model, and how it is loaded."""

    path: str = "nano"
    """A folder in Hugging Face layout, a hub id, or "nano": the small VLM that ships with vlmpost."""
    revision: str | None = None
    """Branch, tag or commit of a hub id."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the weights; auto is bfloat16 on a GPU that has it and float32 on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU if there is one and says which; cpu must be asked for on a GPU machine."""
    attn_implementation: Literal["auto", "sdpa", "eager", "flash_attention_2", "flash_attention_3"] = "auto"
    """Attention kernel; auto is sdpa."""
    image_max_pixels: int | None = Field(None, gt=0)
    """Pixels an image may have after resizing; larger ones are scaled down. null: what the processor folder says."""
    image_min_pixels: int | None = Field(None, gt=0)
    """Pixels an image must have after resizing; smaller ones are scaled up. null: what the processor folder says."""
    freeze_vision_tower: bool = True
    """Keep the vision tower's weights fixed, as the long-CoT studies do."""
    freeze_multi_modal_projector: bool = True
    """Keep the projector between vision tower and language model fixed."""
    use_peft: bool = False
    """Train LoRA adapters in place of the full weights."""
    lora_r: int = Field(16, gt=0)
    """Rank of the adapters."""
    lora_alpha: int = Field(32, gt=0)
    """Scale of the adapters: the update is multiplied by lora_alpha / lora_r."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapters' input."""
    lora_target_modules: str | list[str] = "language"
    """"language" adapts every linear layer of the language model; else a regex on module names, or a list of suffixes."""
    load_in_4bit: bool = False
    """Quantise the frozen weights to 4 bit (needs bitsandbytes and a GPU; with use_peft)."""

    @property
    def pixel_budget(self) -> tuple[int, int] | None:
        """Smallest and largest area of an image where the recipe sets both; None: the processor's own."""
        if self.image_min_pixels is None or self.image_max_pixels is None:
            return None
        return self.image_min_pixels, self.image_max_pixels


class SourceConfig(Section):
    """One source of examples: a drawn task, stored data, or a task posed on stored pictures (`{task: image_jigsaw, path: photos}`)."""

    task: str | None = None
    """Name of a drawn task: `vlmpost make ls` lists them."""
    path: str | None = None
    """A .jsonl, .json, .parquet or .tsv file, a folder of one of them, a `datasets` folder, an image folder, or a hub id."""
    split: str = "train"
    """Stream of a drawn task (train, validation, test) or split of a dataset."""
    num_examples: int | None = Field(None, gt=0)
    """Take this many: required for a drawn task; the first ones of stored data. A task on stored pictures goes round them again."""
    seed: int = Field(0, ge=0)
    """Seed of a drawn task."""
    difficulties: list[int] | None = None
    """Difficulties of a drawn task to take turns with, each 1 to 5. null: all that the task has."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """A task's own options: `vlmpost tasks show NAME` lists them."""
    shift: Literal["none", "rule", "visual"] = "none"
    """Variant of a task: in distribution, by another rule, or by other looks."""
    solutions: Literal["answer", "reasoned"] | None = None
    """Kind of a task's scripted solutions: the bare answer, or with reasoning before it. null: what the task gives by default."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Renames of stored columns, e.g. {problem: question_text}: ours (prompt, images, answer, solution, choices, id, level) to theirs."""
    image_root: str | None = None
    """Folder that image paths are relative to. null: the folder of the file that names them."""
    allow_outside_root: bool = False
    """Let image paths leave the root folder."""


class DataConfig(Section):
    """What is trained on."""

    train: list[SourceConfig] = Field(min_length=1)
    """The sources, joined in order and shuffled by the training seed."""
    eval: list[SourceConfig] = Field(default_factory=list)
    """Held-out sources: the final model answers each question once, and the records stand in the run."""
    instruction: str | None = None
    """Text added to each question, e.g. "Please reason step by step within <think> </think> tags, ..."."""
    max_prompt_length: int | None = Field(None, gt=0)
    """Longest prompt in tokens, image tokens included; longer rows are dropped and counted, never cut."""
    max_length: int | None = Field(None, gt=0)
    """Longest prompt plus solution in tokens (SFT); longer rows are dropped and counted, never cut."""
    max_drop_share: Share = Field(0.01, ge=0, le=1)
    """Share of rows that may be dropped, all reasons together, before the run is refused."""
    num_workers: int = Field(0, ge=0)
    """Processes that decode images beside the training process."""


class TrainingConfig(Section):
    """The optimizer and the clock."""

    learning_rate: float = Field(1e-5, gt=0)
    """Peak learning rate of AdamW."""
    lr_scheduler_type: Literal["constant", "linear", "cosine", "constant_with_warmup"] = "cosine"
    """Shape of the learning rate over the run."""
    warmup_share: Share = Field(0.0, ge=0, lt=1)
    """Share of the steps over which the learning rate rises from 0."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""
    adam_beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of AdamW's mean of gradients."""
    adam_beta2: float = Field(0.999, ge=0, lt=1)
    """Decay of AdamW's mean of squared gradients."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradient norm above which the gradient is scaled down."""
    num_train_epochs: float = Field(1.0, gt=0)
    """Passes over the data, unless max_steps is given."""
    max_steps: int | None = Field(None, gt=0)
    """Optimizer steps; overrides num_train_epochs."""
    per_device_train_batch_size: int | None = Field(None, gt=0)
    """Sequences in one forward pass of one process (completions in RL). null: as many as the step needs, up to 64."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: about a third slower, far less memory."""
    seed: int = Field(42, ge=0)
    """Seed of data order, sampling and new weights."""
    optim: str = "adamw_torch"
    """Optimizer, by its transformers name."""


class SftTrainingConfig(TrainingConfig):
    """The optimizer and the clock of SFT."""

    examples_per_step: int = Field(32, gt=0)
    """Examples behind one optimizer step, all processes together."""


class RlTrainingConfig(TrainingConfig):
    """The optimizer and the clock of RL."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""
    shared_prompt: Literal["auto", "on", "off"] = "auto"
    """Read each prompt and its images once for all its completions. auto: where the model can, and said where it cannot."""
    max_tokens_per_forward: int | None = Field(None, gt=0)
    """Tokens in one forward pass of the update, each prompt counted once; a longer completion is a pass of its own. null: no limit."""
    prompts_per_step: int = Field(16, gt=0)
    """Prompts rolled out together, all processes together; each gets num_generations completions."""
    num_mini_batches: int = Field(1, gt=0)
    """Optimizer steps that share one batch of rollouts; prompts_per_step must be a multiple of it."""


class CheckpointConfig(Section):
    """When weights are kept."""

    save_steps: int = Field(100, gt=0)
    """Steps between checkpoints; one is always written at the last step and on SIGTERM or SIGINT."""
    save_total_limit: int | None = Field(2, gt=0)
    """Newest checkpoints kept. null: all."""


class LoggingConfig(Section):
    """What is said while a run goes on."""

    logging_steps: int = Field(1, gt=0)
    """Steps between rows of metrics.jsonl and progress lines."""
    rollout_steps: int = Field(10, gt=0)
    """Steps between batches written to rollouts.jsonl."""
    num_logged_rollouts: int = Field(16, ge=0)
    """Rollouts written each time, whole groups first."""
    report_to: list[Literal["tensorboard", "wandb", "trackio"]] = Field(default_factory=list)
    """Trackers fed beside metrics.jsonl; each is a package of its own."""
    doctor: Literal["stop", "warn", "off"] = "stop"
    """What fatal findings do: stop the run with the batch saved, or only warn."""


class RewardTermConfig(Section):
    """One term of the reward."""

    name: str
    """A reward of vlmpost (`vlmpost reward ls`), `package.module:function`, or `path/to/file.py:function`."""
    weight: float = 1.0
    """Factor in the sum."""
    params: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the function; `preset` names a set of them (`vlmpost reward show NAME`)."""
    discount: float = Field(1.0, ge=0, le=1)
    """Factor per token between the token that earns this term and the tokens before it; for PPO, GRPO knows 1 only."""


class GenerationConfig(Section):
    """How completions are sampled."""

    temperature: float = Field(1.0, gt=0)
    """Divides the logits; log-probabilities in the loss are of the scaled distribution."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Smallest set of tokens whose probability reaches this is kept."""
    top_k: int = Field(0, ge=0)
    """This many most probable tokens are kept; 0 keeps all."""
    min_p: float | None = Field(None, ge=0, le=1)
    """Tokens below this share of the most probable one are removed."""
    repetition_penalty: float = Field(1.0, gt=0)
    """Above 1, tokens already seen become less probable."""
    max_completion_length: int = Field(512, gt=0)
    """Tokens a completion may have."""
    seeding: Literal["sample", "batch"] = "sample"
    """sample: each completion has its own seed, whatever the batch size or number of processes. batch: torch's global generator."""
    max_concurrent: int = Field(512, gt=0)
    """Completions of one process that are written side by side; as some finish, others begin."""


class AlgorithmConfig(Section):
    """The RL algorithm."""

    preset: str | None = None
    """A study's settings for the keys that are not given (`vlmpost config rl --presets` lists them)."""
    kind: Literal["grpo", "ppo"] = "grpo"
    """grpo: advantages from comparing the completions of a batch, no critic. ppo: a critic gives each token an advantage."""
    num_generations: int = Field(8, ge=1)
    """Completions per prompt: the group."""
    advantage_estimator: Literal["group", "rloo", "reinforce_plus_plus", "reinforce_plus_plus_baseline"] = "group"
    """What a reward is compared with: its group's mean, the others of its group, nothing, or the group and then the batch."""
    loss_type: Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    """How token losses are summed; dapo divides by all tokens of the step."""
    beta: float = Field(0.0, ge=0)
    """Weight of the KL term to the reference model; 0 loads no reference."""
    epsilon: float = Field(0.2, gt=0)
    """Lower clip of the ratio, and the upper one unless epsilon_high is given."""
    epsilon_high: float | None = Field(None, gt=0)
    """Upper clip of the ratio."""
    delta: float | None = Field(None, gt=0)
    """Second upper clip for negative advantages (two-sided clipping)."""
    num_iterations: int = Field(1, gt=0)
    """Passes over each batch of rollouts."""
    importance_sampling_level: Literal["token", "sequence", "reply"] = "token"
    """What a ratio is of: a token, the geometric mean over the completion (GSPO), or a whole reply (the product over its tokens)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What the centred rewards are divided by: the group's, the batch's standard deviation, or nothing."""
    multi_objective_aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "sum_then_normalize"
    """normalize_then_sum is GDPO."""
    mask_truncated_completions: bool = False
    """Leave completions cut at max_completion_length out of the loss."""
    reward_clip: float | None = Field(None, gt=0)
    """Bound of each token's reward, both ways. null: none."""
    top_entropy_quantile: float = Field(1.0, gt=0, le=1)
    """Share of tokens, the most uncertain ones, that carry the policy loss."""
    gamma: float = Field(1.0, gt=0, le=1)
    """Discount per token (PPO, REINFORCE++); a reward's own discount multiplies it."""
    lam: float = Field(0.95, ge=0, le=1)
    """PPO: lambda of generalized advantage estimation per token; 1: the whole return less the value."""
    turn_gamma: float = Field(1.0, gt=0, le=1)
    """Further discount between two replies of an episode (PPO, REINFORCE++)."""
    turn_lam: float = Field(1.0, ge=0, le=1)
    """PPO: further lambda between two replies of an episode."""
    vf_coef: float = Field(0.1, ge=0)
    """PPO: weight of the value loss, which is half the squared error."""
    cliprange_value: float | None = Field(0.2, gt=0)
    """PPO: how far a value may move from the old one before its loss stops to pull. null: no clipping."""
    whiten_advantages: bool = True
    """PPO: advantages of a batch of rollouts get mean 0 and standard deviation 1 over all tokens of all processes."""
    critic: Literal["shared", "separate"] = "shared"
    """PPO: a value head on the policy's backbone, or a model of its own that starts as the policy's copy."""
    value_at: Literal["token", "reply"] = "token"
    """PPO: what has a value and an advantage: each token, or each reply as one step, valued where it begins."""
    value_head: Literal["linear", "mlp"] = "linear"
    """PPO: one layer, or several with ReLU between."""
    value_head_sizes: list[int] | None = None
    """PPO: widths between the backbone's and 1, for value_head: mlp. null: 1024 and 512."""
    value_learning_rate: float | None = Field(None, gt=0)
    """PPO: peak learning rate of the value head. null: training.learning_rate."""
    num_value_warmup_steps: int = Field(0, ge=0)
    """PPO: optimizer steps at the start in which only the value head learns; the policy stays as it is."""
    kl_in: Literal["loss", "reward"] = "loss"
    """Where beta counts. reward (PPO, REINFORCE++): beta times (old log-probability - reference's) is taken off each token's reward."""

    @model_validator(mode="before")
    @classmethod
    def _filled_from_preset(cls, given: Any) -> Any:  # Any: what a recipe holds, before it is checked
        return presets.filled(given) if isinstance(given, Mapping) else given

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        return name if name is None else presets.known(name)


PPO_KEYS: Final = (
    "cliprange_value",
    "critic",
    "lam",
    "num_value_warmup_steps",
    "turn_lam",
    "value_at",
    "value_head",
    "value_head_sizes",
    "value_learning_rate",
    "vf_coef",
    "whiten_advantages",
)
"""Keys of `AlgorithmConfig` that only a critic has a use for."""
OWN_KEYS: Final = (*PPO_KEYS, "advantage_estimator", "gamma", "kind", "kl_in", "preset", "reward_clip", "turn_gamma")
"""Keys of `AlgorithmConfig` that TRL does not know."""


class SignalConfig(Section):
    """What is done so that rollouts teach: a group whose completions all earn the same has nothing to tell."""

    drop_flat_groups: bool = False
    """Leave flat groups out of the policy loss and its normaliser, not only at advantage 0. Their KL term trains on."""
    dynamic_sampling: bool = False
    """Fill the places of flat groups with groups of other prompts, until the batch is full or the budget is spent."""
    max_sampling_rounds: int = Field(3, ge=2)
    """Dynamic sampling: rounds of rollouts that one batch may take, the first one included."""
    prompt_pools: bool = False
    """Choose prompts by what their last group showed (unseen, useful, hard, easy), in shares given by pool_shares."""
    pool_shares: dict[Literal["unseen", "useful", "hard", "easy"], Share] = Field(
        default={"unseen": 0.5, "useful": 0.4, "hard": 0.08, "easy": 0.02}
    )
    """Prompt pools: how much of a batch comes from each; an empty pool's share goes to the others in proportion."""
    replay_size: int = Field(0, ge=0)
    """Useful groups kept for another use in the places of flat ones; 0 keeps none."""
    replay_max_age: int = Field(20, gt=0)
    """Optimizer steps after which a kept group is forgotten."""


class EpisodeConfig(Section):
    """How a task is played: attempts, and what its verifier rewards by. Only tasks can be played; stored data needs its task's name."""

    verify_iterations: int = Field(1, ge=1)
    """Graded attempts at each problem; after a wrong one the model reads the verifier's message and tries again."""
    rewards: str | None = None
    """The verifier's reward table, e.g. paper or repo. null: the task's default."""


class ShiftsConfig(Section):
    """A task that the model plays while it trains, in distribution and shifted; figures and compute so far go to shifts.jsonl."""

    task: str
    """The task: `vlmpost tasks ls`, or yours as package.module:Class or file.py:Class."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Its options; each variant changes some of those that are not given."""
    shifts: list[Literal["none", "rule", "visual", "all"]] = Field(default=["all"], min_length=1)
    """The variants; all: those that the task has."""
    split: Literal["train", "validation", "test"] = "validation"
    """Of the task's stream."""
    num_examples: int = Field(100, gt=0)
    """Problems of each variant."""
    data_seed: int = Field(0, ge=0)
    """Chooses the problems."""
    difficulties: list[int] | None = None
    """Difficulties to take turns with. null: all that the task has."""
    num_samples: int = Field(1, gt=0)
    """Episodes of each problem."""
    verify_iterations: int = Field(1, ge=1)
    """Graded attempts at each state; 1 is the study's setting for recognition."""
    rewards: str | None = None
    """The verifier's reward table. null: the task's default."""
    every_steps: int | None = Field(None, gt=0)
    """Steps between measurements, the last step always. null: at every checkpoint. Step 0 is measured in both cases."""
    max_completion_length: int = Field(256, gt=0)
    """Tokens a reply may have."""
    temperature: float = Field(1.0, gt=0)
    """Divides the logits."""
    per_device_eval_batch_size: int = Field(64, gt=0)
    """Replies made together by one process."""
    seed: int = Field(0, ge=0)
    """Of sampling; the same at every step, so that steps differ by the weights alone."""


class SftConfig(Section):
    """A recipe of `vlmpost sft`."""

    model: ModelConfig = ModelConfig()
    """The model."""
    data: DataConfig
    """The examples; each needs a solution."""
    training: SftTrainingConfig = SftTrainingConfig()
    """Optimizer and clock."""
    checkpoints: CheckpointConfig = CheckpointConfig()
    """When weights are kept."""
    logging: LoggingConfig = LoggingConfig()
    """What is said."""
    shifts: ShiftsConfig | None = None
    """What is played while it trains; null: nothing."""
    trl: dict[str, JsonValue] = Field(default_factory=dict)
    """Any other argument of TRL's SFTConfig, passed through; keys that vlmpost sets itself are refused."""


class RlConfig(Section):
    """A recipe of `vlmpost rl`."""

    model: ModelConfig = ModelConfig()
    """The model."""
    data: DataConfig
    """The questions."""
    rewards: list[RewardTermConfig] = Field(min_length=1)
    """The terms of the reward; their weighted values are summed."""
    algorithm: AlgorithmConfig = AlgorithmConfig()
    """The algorithm."""
    signal: SignalConfig = SignalConfig()
    """What is done about rollouts that teach nothing."""
    guidance: GuidanceConfig | None = None
    """How stored traces guide the policy: interleaved, progressive and their relatives. null: plain RL."""
    reference_model: str | None = None
    """Folder or hub id of the model that the KL term (algorithm.beta) compares with, no adapter. null: the policy as it starts."""
    episode: EpisodeConfig | None = None
    """How tasks are played, for the reward `verifier`; null: one reply, no verifier."""
    generation: GenerationConfig = GenerationConfig()
    """How completions are sampled."""
    training: RlTrainingConfig = RlTrainingConfig()
    """Optimizer and clock."""
    checkpoints: CheckpointConfig = CheckpointConfig()
    """When weights are kept."""
    logging: LoggingConfig = LoggingConfig()
    """What is said."""
    shifts: ShiftsConfig | None = None
    """What is played while it trains; null: nothing."""
    trl: dict[str, JsonValue] = Field(default_factory=dict)
    """Any other argument of TRL's GRPOConfig, passed through; keys that vlmpost sets itself are refused."""

    @model_validator(mode="before")
    @classmethod
    def _filled_from_guidance(cls, given: Any) -> Any:  # Any: what a recipe holds, before it is checked
        return guidance_presets.with_algorithm(given) if isinstance(given, Mapping) else given
