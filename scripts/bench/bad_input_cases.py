"""The bad inputs that vlmpost is held to: for each a folder, a command line, and what must come of it. `bad_inputs.py` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import bad_input_folders as folders
from bad_input_folders import Setup, model, rl, rows, sft, text


@dataclass(frozen=True)
class Case:
    """One bad input and what must come of it."""

    name: str
    command: str
    """What follows `vlmpost`, run in the case's own folder."""
    says: tuple[str, ...]
    """Texts that the message must hold."""
    setup: tuple[Setup, ...] = ()
    """Fill the folder, in order."""
    code: int = 2
    torch: bool = True
    """Whether the command gets as far as importing torch."""
    kept: tuple[str, ...] = ()
    """Files and folders that must be byte for byte what they were."""
    made: tuple[str, ...] = ()
    """Patterns of files that must be there afterwards."""
    absent: tuple[str, ...] = ()
    """Patterns of files that must not be there afterwards."""
    environment: Mapping[str, str] = field(default_factory=dict)
    max_file_bytes: int | None = None
    """The operating system's limit on the size of a file (`ulimit -f`)."""
    mend: Setup | None = None
    """What the user does about it; then `then` must end with exit code 0."""
    then: str = ""
    disk: str = ""
    """Options of a small file system mounted at `disk` for the case, e.g. "size=3m"; it needs root."""


SFT = "sft r.yaml"
RL = "rl r.yaml"
RUN = "runs/r"
ON_ROWS = "path: rows.jsonl"
ON_MODEL = sft(more="model: {path: model}\n")
REWARDS = text("own.py", folders.REWARDS)


def recipe(name: str, command: str, says: tuple[str, ...], content: Setup, *, absent: tuple[str, ...] = ("runs",)) -> Case:
    """A fault of the recipe or of the command line: found before torch is imported, and no run is made."""
    return Case(name, command, says, (content,), torch=False, absent=absent)


def of_rows(name: str, says: tuple[str, ...], *setup: Setup, source: str = ON_ROWS, more: str = "") -> Case:
    """A fault of stored data under SFT."""
    return Case(name, SFT, says, (sft(source, more=more), *setup), absent=(f"{RUN}/checkpoints/step_*", f"{RUN}/final"))


def of_model(name: str, says: tuple[str, ...], *setup: Setup) -> Case:
    """A fault of a model folder under SFT."""
    return Case(name, SFT, says, (ON_MODEL, *setup), absent=(f"{RUN}/checkpoints/step_*", f"{RUN}/final"))


def of_reward(name: str, says: tuple[str, ...], reward: str) -> Case:
    """A reward that fails on the first rollout."""
    return Case(name, RL, says, (rl(rewards=f'{{name: "own.py:{reward}"}}'), REWARDS), absent=(f"{RUN}/final",))


SIGNAL = "signal: {{{}}}\n"
POOLS = "signal: {{prompt_pools: true, pool_shares: {{{}}}}}\n"
HEAD = "data:\n  train:\n    - {task: counting, num_examples: 8, difficulties: [1]}\n"

RECIPES = (
    recipe(
        "wrong key",
        SFT,
        ("r.yaml:4: training.lerning_rate", "learning_rate"),
        text("r.yaml", HEAD + "training: {lerning_rate: 1e-4}\n"),
    ),
    recipe("key of another tool", SFT, ("r.yaml:4: data.cutoff_len", "max_length"), text("r.yaml", HEAD + "  cutoff_len: 512\n")),
    recipe("wrong type", SFT, ("r.yaml:4: training.max_steps", "ten"), text("r.yaml", HEAD + "training: {max_steps: ten}\n")),
    recipe(
        "number out of range", SFT, ("r.yaml:4: training.learning_rate", "-1"), text("r.yaml", HEAD + "training: {learning_rate: -1}\n")
    ),
    recipe(
        "several faults at once", SFT, ("2 faults", "r.yaml:4", "r.yaml:5"), text("r.yaml", HEAD + "traning: {}\nmodel: {dtype: fp8}\n")
    ),
    recipe("YAML syntax", SFT, ("r.yaml:4: not YAML",), text("r.yaml", HEAD + "training: max_steps: 1\n")),
    recipe("duplicate key", SFT, ("r.yaml:5", "training"), text("r.yaml", HEAD + "training: {max_steps: 1}\ntraining: {seed: 1}\n")),
    recipe("recipe that is not there", "sft q.yaml", ("q.yaml: no such recipe",), sft()),
    recipe("empty recipe", SFT, ("r.yaml",), text("r.yaml", "")),
    recipe("recipe of the other command", SFT, ("r.yaml:4: rewards: unknown section; only recipes of `vlmpost rl` have it",), rl()),
    recipe("unknown task", SFT, ("r.yaml:3: data.train.0.task", "countin", "counting"), sft("task: countin, num_examples: 8")),
    recipe("unknown reward", RL, ("r.yaml:5: rewards.0", "acuracy", "accuracy"), rl(rewards="{name: acuracy}")),
    recipe(
        "wrong parameter of a reward",
        RL,
        ("r.yaml:5: rewards.0", "params.mood", "mode"),
        rl(rewards="{name: format, params: {mood: strict}}"),
    ),
    recipe("reward file that is not there", RL, ("r.yaml:5: rewards.0", "mine.py"), rl(rewards='{name: "mine.py:f"}')),
    recipe(
        "prompts_per_step not a multiple",
        "rl r.yaml --set training.num_mini_batches=3",
        ("training.num_mini_batches", "prompts_per_step (2)", "got 3"),
        rl(),
    ),
    recipe(
        "batch that does not divide",
        "rl r.yaml --set training.per_device_train_batch_size=3",
        ("training.per_device_train_batch_size", "4 completions"),
        rl(),
    ),
    recipe("--set with an unknown key", SFT + " --set training.max_step=1", ("--set training.max_step", "max_steps"), sft()),
    recipe("--set without a value", SFT + " --set training.max_steps", ("--set training.max_steps", "="), sft()),
    recipe("flags that exclude each other", SFT + " --run-dir a --run-name b", ("--run-dir", "--run-name", "give one"), sft()),
    recipe("run name that is a path", SFT + " --run-name a/b", ("--run-name", "a/b"), sft()),
    recipe("evaluation on unknown data", "eval nano --data countin --num-examples 2", ("--data countin", "counting"), sft()),
    recipe("drawn task without an end", "eval nano --data counting", ("--data counting", "--num-examples"), sft()),
)

ALGORITHM = (
    recipe("unknown preset", RL + " --set algorithm.preset=demistify", ("--set algorithm.preset", "demistify", "demystify"), rl()),
    recipe(
        "preset of another kind",
        RL + " --set algorithm.preset=demystify --set algorithm.kind=grpo",
        ("--set algorithm.kind", "preset demystify has ppo, got grpo"),
        rl(),
    ),
    recipe("critic's key without a critic", RL + " --set algorithm.vf_coef=0.5", ("algorithm.vf_coef", "kind: ppo"), rl()),
    recipe("KL term in a reward that has no tokens", RL + " --set algorithm.kl_in=reward", ("algorithm.kl_in", "kind: ppo"), rl()),
    recipe("nothing to compare with", RL + " --set algorithm.num_generations=1", ("num_generations 1", "group", "2 or more"), rl()),
    recipe(
        "loss that PPO does not have",
        RL + " --set algorithm.kind=ppo --set algorithm.loss_type=cispo",
        ("algorithm.loss_type", "dapo", "cispo"),
        rl(),
    ),
    recipe(
        "upper clip below the lower one",
        RL + " --set algorithm.epsilon_high=0.1",
        ("algorithm.epsilon_high", "0.1 < 0.2"),
        rl(),
    ),
    recipe(
        "hidden layers of a head that has none",
        RL + " --set algorithm.kind=ppo --set algorithm.value_head_sizes=[8]",
        ("algorithm.value_head_sizes", "value_head: mlp"),
        rl(),
    ),
    recipe(
        "flat groups where none are compared",
        RL + " --set algorithm.kind=ppo --set signal.drop_flat_groups=true",
        ("signal.drop_flat_groups", "not compared", "kind: grpo"),
        rl(),
    ),
    recipe(
        "rounds without dynamic sampling",
        RL,
        ("r.yaml:10: signal.max_sampling_rounds", "dynamic_sampling"),
        rl(more=SIGNAL.format("max_sampling_rounds: 5")),
    ),
    recipe("age of no replay", RL, ("r.yaml:10: signal.replay_max_age", "replay_size"), rl(more=SIGNAL.format("replay_max_age: 5"))),
    recipe(
        "pool mistyped",
        RL,
        ("r.yaml:10: signal.pool_shares.unsen", "unseen"),
        rl(more=SIGNAL.format("prompt_pools: true, pool_shares: {unsen: 0.5, useful: 0.5, hard: 0, easy: 0}")),
    ),
    recipe(
        "pool left out", RL, ("r.yaml:10: signal.pool_shares", "missing: hard, easy"), rl(more=POOLS.format("unseen: 0.5, useful: 0.5"))
    ),
    recipe(
        "pools that give nothing",
        RL,
        ("r.yaml:10: signal.pool_shares", "every share is 0"),
        rl(more=POOLS.format("unseen: 0, useful: 0, hard: 0, easy: 0")),
    ),
    recipe("forward passes without tokens", RL + " --set training.max_tokens_per_forward=0", ("max_tokens_per_forward", "> 0"), rl()),
    recipe("prompts shared by half", RL + " --set training.shared_prompt=maybe", ("training.shared_prompt", "auto, off, on"), rl()),
    recipe("noise that samplers do not read", RL, ("r.yaml:10: trl.neftune_noise_alpha", "RL"), rl(more="trl: {neftune_noise_alpha: 5}\n")),
    Case(
        "vLLM where there is none", RL, ("trl.use_vllm", "vlmpost[vllm]"), (rl(more="trl: {use_vllm: true}\n"),), absent=(f"{RUN}/final",)
    ),
)

RUNS = (
    Case(
        "run directory that exists",
        SFT,
        (RUN, "this run exists", "--resume", "--run-name"),
        (sft(), folders.earlier_run),
        torch=False,
        kept=(RUN,),
    ),
    Case(
        "folder that is not a run",
        SFT + " --run-dir things",
        ("things", "not empty", "--run-dir"),
        (sft(), folders.folder("things"), text("things/a.txt", "mine")),
        torch=False,
        kept=("things",),
    ),
    recipe("resume of a run that is not there", SFT + " --resume", (RUN, "no such folder", "Leave --resume out"), sft()),
    Case(
        "resume with a changed recipe",
        SFT + " --resume --set training.learning_rate=0.5",
        (RUN, "training.learning_rate", "0.5 now", "--run-name"),
        (sft(), folders.earlier_run),
        torch=False,
        kept=(RUN,),
    ),
    Case(
        "resume by the other command",
        RL + " --resume",
        (RUN, "vlmpost sft"),
        (sft(), folders.earlier_run, rl()),
        torch=False,
        kept=(RUN,),
    ),
    Case(
        "run directory that is read-only",
        SFT + " --run-dir disk/r",
        ("disk/r", "cannot be written", "--run-dir"),
        (sft(),),
        torch=False,
        disk="ro,size=1m",
    ),
    Case("rollouts of a run that is not there", "rollouts runs/x", ("runs/x", "no such folder"), (), torch=False),
    Case(
        "disk full at the first checkpoint",
        SFT + " --run-dir disk/r",
        ("step_000001", "could not be written", "--resume"),
        (sft(),),
        disk="size=3m",
        made=("disk/r/metrics.jsonl", "disk/r/status.json"),
        absent=("disk/r/checkpoints/*", "disk/r/final"),
        mend=folders.enlarge,
        then=SFT + " --run-dir disk/r --resume",
    ),
    Case(
        "disk full at the second checkpoint",
        SFT + " --run-dir disk/r --set training.max_steps=2 --set checkpoints.save_steps=1",
        ("step_000002", "could not be written", "step_000001, is whole", "--resume"),
        (sft(),),
        disk="size=20m",
        made=("disk/r/checkpoints/step_000001/model.safetensors", "disk/r/metrics.jsonl"),
        absent=("disk/r/checkpoints/*2*", "disk/r/final"),
        mend=folders.enlarge,
        then=SFT + " --run-dir disk/r --set training.max_steps=2 --set checkpoints.save_steps=1 --resume",
    ),
    Case(
        "disk full when the run begins",
        RL + " --run-dir disk/r",
        ("disk/r/", "cannot be written", "--run-dir"),
        (rl(),),
        disk="size=36k",
        absent=("disk/r/final",),
        mend=folders.enlarge,
        then=RL + " --run-dir disk/r --resume",
    ),
    Case(
        "files may not be that large (ulimit -f)",
        SFT,
        ("step_000001", "could not be written", "--resume"),
        (sft(),),
        max_file_bytes=4 * 2**20,
        absent=(f"{RUN}/checkpoints/step_*", f"{RUN}/final"),
        then=SFT + " --resume",
    ),
)

DATA = (
    of_rows("data file that is not there", ("nowhere.jsonl", "no such file"), source="path: nowhere.jsonl"),
    of_rows("file of an unknown kind", ("rows.csv", ".jsonl"), text("rows.csv", "a,b\n1,2\n"), source="path: rows.csv"),
    of_rows("broken line", ("rows.jsonl:2", "not JSON"), text("rows.jsonl", '{"prompt": "a", "solution": "b"}\n{"prompt": \n')),
    of_rows("rows of an unknown shape", ("rows.jsonl", "frage", "columns"), text("rows.jsonl", '{"frage": "a"}\n' * 4)),
    of_rows("column that no row has", ("rows.jsonl", "answr"), rows(), source=ON_ROWS + ", columns: {answer: answr}"),
    of_rows("empty dataset", ("rows.jsonl", "empty"), text("rows.jsonl", "")),
    of_rows("image that is not there", ("rows.jsonl:3", "no.png", "max_drop_share"), rows({"images": ["no.png"]}, only=[3])),
    of_rows("image that is none", ("rows.jsonl:3", "3.png", "max_drop_share"), rows(), text("3.png", "no image")),
    of_rows("image cut off", ("rows.jsonl:3", "3.png", "damaged"), rows(), folders.bytes_of("3.png", folders.half_picture)),
    of_rows(
        "image of 3.6 billion pixels", ("rows.jsonl:3", "3.png", "100,000,000 pixels"), rows(), folders.bytes_of("3.png", folders.bomb)
    ),
    of_rows("more markers than images", ("rows.jsonl:3", "2 ", "1 "), rows({"prompt": "<image> or <image>?"}, only=[3])),
    of_rows("more images than markers", ("rows.jsonl:3", "2 ", "1 "), rows({"images": ["1.png", "2.png"]}, only=[3])),
    of_rows(
        "image path that leaves its folder",
        ("rows.jsonl:3", "../../secret.png", "allow_outside_root"),
        rows({"images": ["../../secret.png"]}, only=[3]),
    ),
    of_rows(
        "most rows dropped",
        ("7 of 8 rows", "max_drop_share", "rows.jsonl:1"),
        rows({"images": ["no.png"]}, only=range(1, 8)),
    ),
    of_rows("all rows dropped", ("None of the 8 rows", "rows.jsonl:1"), rows({"images": ["no.png"]})),
    Case(
        "rows longer than max_length",
        SFT + " --set data.max_length=10",
        ("longer than max_length", "at most 10", "rows.jsonl:1"),
        (sft(ON_ROWS), rows()),
    ),
    of_rows("no solutions to imitate", ("no solution", "rows.jsonl:1"), rows({"solution": None})),
    Case("no answers to reward", RL, ("none of the 8 examples has an answer", "accuracy"), (rl(ON_ROWS), rows({"answer": None}))),
    Case(
        "fewer prompts than a step needs",
        RL,
        ("prompts left: 1", "training.prompts_per_step = 2"),
        (rl("task: counting, num_examples: 1"),),
    ),
    Case("fewer examples than a step needs", SFT, ("examples left: 1", "training.examples_per_step = 2"), (sft(ON_ROWS), rows(num_rows=1))),
)

MODELS = (
    of_model("model folder that is not there", ("r.yaml:5: model.path", "no such folder: ./model"), sft(more="model: {path: ./model}\n")),
    of_model("model that the hub does not give", ("model.path", "'no/model'"), sft(more="model: {path: no/model}\n")),
    of_model("folder without a model", ("model", "config.json"), folders.folder("model")),
    of_model("model without images", ("model", "llama"), model(folders.text_only)),
    of_model("model with a tensor missing", ("1 tensor missing", "norm.weight"), model(folders.tensors(folders.drop_norm))),
    of_model(
        "model with a tensor too many", ("1 tensor not of this architecture", "extra.weight"), model(folders.tensors(folders.add_tensor))
    ),
    of_model("weights cut off", ("model.safetensors", "bytes"), model(folders.cut)),
    of_model("model without a vocabulary", ("model", "no vocabulary", "tokenizer.json"), model(folders.without("tokenizer.json"))),
    of_model("broken chat template", ("model", "chat template", "chat_template.jinja"), model(folders.broken_template)),
    of_model("weights that are pickled", ("model", "pytorch_model.bin", "safetensors"), model(folders.pickled)),
    Case(
        "LoRA target that matches nothing",
        SFT + " --set model.use_peft=true --set model.lora_target_modules=[q_prj]",
        ("model.lora_target_modules", "q_prj", "q_proj"),
        (sft(),),
    ),
    Case(
        "GPU where there is none",
        SFT + " --set model.device=cuda",
        ("model.device", "no GPU"),
        (sft(),),
        environment={"CUDA_VISIBLE_DEVICES": ""},
    ),
    Case(
        "kernel that is not installed",
        SFT + " --set model.attn_implementation=flash_attention_2",
        ("model.attn_implementation", "flash_attn"),
        (sft(),),
        environment={"CUDA_VISIBLE_DEVICES": ""},
    ),
    Case("greedy answers more than once", "eval nano --data counting --num-examples 2 --greedy --num-samples 4", ("Greedy", "got 4"), ()),
    Case(
        "evaluation of an unfinished run",
        "eval runs/r --data counting --num-examples 2",
        ("runs/r", "not finished", "step_000001", "--resume"),
        (sft(), folders.earlier_run),
        torch=False,
        kept=(RUN,),
    ),
    Case("value that TRL refuses", SFT + " --set trl.loss_type=nosuch", ("trl", "loss_type", "nll"), (sft(),)),
    Case("evaluation of no model", "eval no_model --data counting --num-examples 2", ("no_model", "nano"), ()),
)

TRAINING = (
    of_reward("reward that raises", ("own.py:raises", "counting", "ZeroDivisionError: division by zero", "own.py:3"), "raises"),
    of_reward("reward that gives NaN", ("own.py:gives_nan", "counting", "nan"), "gives_nan"),
    of_reward("reward that gives a text", ("own.py:gives_text", "counting", "str"), "gives_text"),
    Case(
        "reward that raises in the second step",
        RL,
        ("own.py:raises_later", "ValueError: no verdict"),
        (rl(rewards='{name: "own.py:raises_later"}', steps=2), REWARDS),
        made=(f"{RUN}/checkpoints/step_000001/model.safetensors", f"{RUN}/metrics.jsonl"),
        absent=(f"{RUN}/final",),
        mend=text("own.py", folders.REWARDS.replace("raise ValueError", "print")),
        then=RL + " --resume",
    ),
    Case(
        "loss that is not finite (SFT)",
        SFT + " --set training.learning_rate=1e30 --set training.max_steps=3 --set checkpoints.save_steps=1",
        ("step 2", "batch", "learning_rate"),
        (sft(),),
        code=3,
        made=(f"{RUN}/checkpoints/step_000001/model.safetensors", f"{RUN}/logs/batch_step_*.safetensors"),
        absent=(f"{RUN}/final",),
    ),
    Case(
        "model that breaks (RL)",
        RL + " --set training.learning_rate=1e30",
        ("logits are not finite", "training.learning_rate"),
        (rl(rewards='{name: "own.py:alternates"}', steps=3), REWARDS),
        made=(f"{RUN}/checkpoints/step_000001/model.safetensors", f"{RUN}/metrics.jsonl"),
        absent=(f"{RUN}/final",),
    ),
    Case(
        "reward that overflows",
        RL,
        ("1e+300", "Lower the weights"),
        (rl(rewards='{name: "own.py:alternates", weight: 1.0e+300}'), REWARDS),
        absent=(f"{RUN}/final",),
    ),
)

ANSWERS = text("answers.jsonl", '{"output": "7", "gold": "7"}\nnot json\n')
ANSWER_FILES = (
    Case("no file of answers", "reward score gone.jsonl", ("gone.jsonl", "cannot be read"), torch=False),
    Case(
        "scores over a file that is there",
        "reward score answers.jsonl --output mine.txt",
        ("mine.txt is there already", "--overwrite"),
        (ANSWERS, text("mine.txt", "mine")),
        torch=False,
        kept=("mine.txt",),
    ),
    Case("unknown rule profile", "reward score answers.jsonl --profile mathvison", ("mathvison", "mathvision"), (ANSWERS,), torch=False),
    Case(
        "parameters of a reward that contradict each other",
        "reward score answers.jsonl --reward cosine_length --set cosine_length.max_length=10 --set cosine_length.wrong_at_zero=1",
        ("wrong_at_zero 1.0 is positive",),
        (ANSWERS,),
        torch=False,
    ),
    Case(
        "answers without an output",
        "reward score rows.jsonl",
        ("no row could be scored",),
        (text("rows.jsonl", '{"gold": "7"}\n'),),
        torch=False,
    ),
    Case(
        "model judge without an address",
        "reward score answers.jsonl --judge some-model",
        ("VLMPOST_JUDGE_BASE_URL",),
        (ANSWERS,),
        torch=False,
        environment={"VLMPOST_JUDGE_BASE_URL": ""},
    ),
    recipe(
        "preset of a reward mistyped",
        RL,
        ("r.yaml:5: rewards.0", "demistify", "demystify"),
        rl(rewards="{name: cosine_length, params: {preset: demistify}}"),
    ),
    recipe("discounted reward under GRPO", RL, ("r.yaml:5: rewards.0", "discount 0.9"), rl(rewards="{name: accuracy, discount: 0.9}")),
    Case(
        "answers that nothing can be judged by",
        RL,
        ("answer cannot be judged", "rows.jsonl:1"),
        (rl(ON_ROWS), rows({"answer": "many", "answer_type": "number"})),
    ),
)

OWN_TASK = text("own_task.py", folders.TASK)
REPLIES = text("replies.jsonl", '{"number": 4, "outputs": ["even"]}\n{"number": 4}\n')
TASKS = (
    Case("unknown task of tasks show", "tasks show countin", ("countin", "counting"), torch=False),
    Case("option that the task does not have", "tasks show counting --set tone=dusk", ("counting", "tone", "tones"), torch=False),
    Case(
        "task whose code fails", "tasks show own_task.py:Fails", ("own_task.py:Fails", "KeyError", "own_task.py:"), (OWN_TASK,), torch=False
    ),
    Case("class that is no task", "tasks show own_task.py:NoTask", ("NoTask", "not a subclass"), (OWN_TASK,), torch=False),
    Case("problem that is no JSON", "tasks show own_task.py:Parity --row {number:", ("--row", "not JSON"), (OWN_TASK,), torch=False),
    Case("problem that the task does not take", "tasks show counting --row {}", ("counting", "given an instance"), torch=False),
    Case("reply file that is not there", "tasks show counting --reply @gone.txt", ("gone.txt", "cannot be read"), torch=False),
    Case(
        "unknown reward table",
        "tasks verify own_task.py:Parity replies.jsonl --rewards repo",
        ("repo", "paper"),
        (OWN_TASK, REPLIES),
        torch=False,
    ),
    Case(
        "row of replies without outputs",
        "tasks verify own_task.py:Parity replies.jsonl --output out.jsonl",
        ("replies.jsonl:2", "outputs", "--skip-bad-rows"),
        (OWN_TASK, REPLIES),
        torch=False,
        absent=("out.jsonl",),
        mend=text("replies.jsonl", '{"number": 4, "outputs": ["even"]}\n'),
        then="tasks verify own_task.py:Parity replies.jsonl --output out.jsonl",
    ),
    Case(
        "row of replies cut off",
        "tasks verify own_task.py:Parity replies.jsonl --output out.jsonl",
        ("replies.jsonl:1", "not JSON"),
        (OWN_TASK, text("replies.jsonl", '{"number": 4, "outputs": ["ev')),
        torch=False,
        absent=("out.jsonl",),
    ),
    Case("no file of replies", "tasks verify own_task.py:Parity gone.jsonl", ("gone.jsonl", "cannot be read"), (OWN_TASK,), torch=False),
    Case(
        "results over a file that is there",
        "tasks verify own_task.py:Parity replies.jsonl --output mine.txt",
        ("mine.txt is there already", "--overwrite"),
        (OWN_TASK, REPLIES, text("mine.txt", "mine")),
        torch=False,
        kept=("mine.txt",),
    ),
    Case(
        "made data over a folder that is there",
        "make data counting things --n 2",
        ("things exists already",),
        (folders.folder("things"),),
        torch=False,
    ),
    Case(
        "made data with a solution that is wrong",
        "make data own_task.py:Wrong out --n 2",
        ("Wrong", "does not verify"),
        (OWN_TASK,),
        torch=False,
        absent=("out", ".out*"),
    ),
    Case(
        "made data in a style that the task has not",
        "make data own_task.py:Parity out --n 2 --style reasoned",
        ("reasoned",),
        (OWN_TASK,),
        torch=False,
        absent=("out", ".out*"),
    ),
    Case(
        "several wordings of a task with one",
        "make data counting out --n 2 --diverse-prompts",
        ("--diverse-prompts", "counting"),
        torch=False,
        absent=("out",),
    ),
)

CASES = (*RECIPES, *ALGORITHM, *RUNS, *DATA, *MODELS, *TRAINING, *ANSWER_FILES, *TASKS)
