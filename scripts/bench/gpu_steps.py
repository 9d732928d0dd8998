"""SFT, GRPO and PPO steps of random-weight Qwen2.5-VL models of 3B and 7B shape on one GPU: `python scripts/bench/gpu_steps.py`.

Every image size is measured by itself: both sides are started in turn as processes of their own, on the same rows, with all lengths
forced. Weights are made on the GPU in bfloat16 and nothing of a model's size is written. TRL has no PPO for models that see, so PPO stands
beside TRL's GRPO where that was measured too. On both sides the vision tower is frozen, as in vlmpost's recipes, and activations are
recomputed in the backward pass. On a CPU one more step records memory.

The report goes into the section "Steps on a GPU" of RESULTS.md, or is printed with `--results -`. Without a GPU:
`python scripts/bench/gpu_steps.py --device cpu --shapes tiny --image-sizes 112x112 --results -` tries every part on a small model.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from equal_lengths import PIXELS_PER_TOKEN, end_never, write_rows
from gpu_flops import Group, matrix_ceiling, update_flops
from gpu_shapes import SHAPES, Shape, write_folder
from two_sides import HERE, OFF, PLAIN, SIDES, Row, Setting, Side, alternated, median_of, phases_of

NUM_TEXT_TOKENS = 64
NUM_WARMUP_STEPS = 1
GIB = 2**30
BEGIN, END = "<!-- gpu_steps: begin -->", "<!-- gpu_steps: end -->"
PHASES = {
    "prepare": "images and tokens",
    "vision": "vision tower (generation)",
    "prefill": "prefill",
    "generate": "decode",
    "score": "scoring",
    "logps": "log-probs",
    "values": "values and log-probs",
    "update": "update",
}
KINDS = ("sft", "grpo", "ppo")
PPO = Side("vlmpost PPO")
PLAIN_GRPO = f"{PLAIN} GRPO"


@dataclass(frozen=True)
class Case:
    """What is measured together: one kind of step at one size of model and image."""

    kind: str
    shape_name: str
    image_size: tuple[int, int]

    @property
    def shape(self) -> Shape:
        """The model's."""
        return SHAPES[self.shape_name]

    @property
    def num_image_tokens(self) -> int:
        """Of one image: its sides are rounded to whole tokens, as the processor does."""
        width, height = (round(side / PIXELS_PER_TOKEN) for side in self.image_size)
        return width * height

    @property
    def title(self) -> str:
        """For the report."""
        width, height = self.image_size
        return f"{self.kind.upper()}, {self.shape_name}, images of {width} x {height} ({self.num_image_tokens} tokens)"


def main() -> None:
    """Measures all cases and writes the report."""
    args = _arguments()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu_steps.py: torch finds no GPU here. Give --device cpu --shapes tiny to try the parts.")
    if args.results != "-":
        section_of(Path(args.results))  # a page that cannot take the report is better known before anything is measured
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    ceiling = matrix_ceiling(device, dtype)
    lines = [*heading(device, dtype, ceiling, args)]
    for shape_name in args.shapes:
        for image_size in args.image_sizes:
            plain_grpo: dict[str, list[list[Row]]] = {}
            for kind in sorted(args.kinds, key=KINDS.index):
                case = Case(kind, shape_name, image_size)
                print(f"measuring {case.title}", file=sys.stderr, flush=True)
                runs = measured(case, args)
                if kind == "grpo":
                    plain_grpo = {PLAIN_GRPO: runs[PLAIN]}
                lines += report(case, plain_grpo | runs if kind == "ppo" else runs, args, ceiling=ceiling)
                if args.results != "-":
                    write_section(Path(args.results), lines)
    if args.results == "-":
        print("\n".join(lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--shapes", nargs="+", default=["3b", "7b"], choices=list(SHAPES))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--image-sizes", nargs="+", type=_image_size, default=[(448, 448), (1024, 768)], help="WIDTHxHEIGHT in pixels")
    parser.add_argument("--prompts", type=int, default=8, help="prompts behind one step of RL")
    parser.add_argument("--generations", type=int, default=8, help="completions of a prompt")
    parser.add_argument("--completion-tokens", type=int, default=256, help="of each completion, and of each solution in SFT")
    parser.add_argument("--examples", type=int, default=16, help="examples behind one step of SFT")
    parser.add_argument("--rows-per-forward", type=int, default=8, help="sequences in one forward pass of the update")
    parser.add_argument("--steps", type=int, default=4, help="steps of a run, the first one left out")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each side")
    parser.add_argument("--no-recompute", action="store_true", help="keep activations (no gradient checkpointing), on both sides")
    parser.add_argument("--with-off", action="store_true", help="GRPO also with training.shared_prompt: off")
    parser.add_argument("--results", default=str(HERE / "RESULTS.md"), help="the page to write into; - prints")
    args = parser.parse_args()
    if args.steps <= NUM_WARMUP_STEPS:
        parser.error(f"--steps {args.steps}: the first {NUM_WARMUP_STEPS} is left out, so give at least {NUM_WARMUP_STEPS + 1}")
    return args


def _image_size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def measured(case: Case, args: argparse.Namespace) -> dict[str, list[list[Row]]]:
    """The timed rows of each side, run by run."""
    with tempfile.TemporaryDirectory(prefix="vlmpost-gpu-") as name:
        model = write_folder(Path(name) / "model", case.shape)
        end_never(model)
        num_rows = (args.steps + 1) * max(args.prompts, args.examples)
        rows = write_rows(
            Path(name) / "rows",
            model,
            num_rows=num_rows,
            image_sides=[case.image_size],
            num_text_tokens=NUM_TEXT_TOKENS,
            num_solution_tokens=args.completion_tokens,
        )
        runs = {}
        for kind, sides in sides_of_kind(case.kind, with_off=args.with_off):
            setting = setting_of(kind, model, rows, args)
            runs |= alternated(sides, setting, repeats=args.repeats, num_warmup_steps=NUM_WARMUP_STEPS)
        return runs


def sides_of_kind(kind: str, *, with_off: bool) -> list[tuple[str, list[Side]]]:
    """What runs, in turn: pairs of a kind and its sides."""
    plain, ours, off = SIDES
    if kind == "ppo":
        return [("ppo", [PPO])]
    return [(kind, [plain, ours, off] if with_off and kind == "grpo" else [plain, ours])]


def setting_of(kind: str, model: Path, rows: Path, args: argparse.Namespace) -> Setting:
    """What both sides do."""
    supervised = kind == "sft"
    num_sequences = args.examples if supervised else args.prompts * args.generations
    return Setting(
        kind=kind,  # type: ignore[arg-type]
        model=str(model),
        rows=str(rows),
        steps=args.steps + (args.device == "cpu"),
        prompts_per_step=args.examples if supervised else args.prompts,
        num_generations=1 if supervised else args.generations,
        num_completion_tokens=0 if supervised else args.completion_tokens,
        rows_per_forward=min(args.rows_per_forward, num_sequences),
        device=args.device,
        train_vision=False,
        gradient_checkpointing=not args.no_recompute,
        random_weights=True,
        learning_rate=1e-6,
        memory_step=args.steps + 1 if args.device == "cpu" else None,
    )


def heading(device: torch.device, dtype: torch.dtype, ceiling: float, args: argparse.Namespace) -> list[str]:
    """When, on what, with what."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU ({platform.machine()})"
    packages = ", ".join(f"{package} {version(package)}" for package in ("torch", "transformers", "trl", "vlmpost"))
    lengths = f"{args.prompts} x {args.generations} completions of {args.completion_tokens} tokens (SFT: {args.examples} examples)"
    return [
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {name}, {packages}.",
        f"Matrix ceiling, measured: {ceiling / 1e12:.3g} TFLOP/s in {str(dtype).removeprefix('torch.')}. "
        f"{lengths}, {NUM_TEXT_TOKENS} text tokens in a prompt, {args.rows_per_forward} sequences in a forward pass of the update, "
        f"activations {'kept' if args.no_recompute else 'recomputed'}; "
        f"medians of {args.repeats} runs of {args.steps} steps, the first left out.",
        "",
    ]


def report(case: Case, runs: dict[str, list[list[Row]]], args: argparse.Namespace, *, ceiling: float) -> list[str]:
    """A markdown table of one case: seconds by phase, speed, memory, share of the ceiling."""
    names = list(runs)
    lines = [f"### {case.title}", "", "| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    found = dict.fromkeys(phase for by_run in runs.values() for phase in phases_of(by_run))
    ordered = [phase for phase in PHASES if phase in found] + [phase for phase in found if phase not in PHASES]
    for label, phase in [("whole step, s", None), *((f"{PHASES.get(phase, phase)}, s", phase) for phase in ordered)]:
        lines.append(_line(label, [f"{median_of(runs[name], 'wall', phase):.3f}" for name in names]))
    group = _group(case, args)
    num_tokens = group.num_tokens * (args.examples if case.kind == "sft" else args.prompts)
    steps = [median_of(runs[name], "wall") for name in names]
    lines.append(_line("tokens / s, whole step", [f"{num_tokens / seconds:.0f}" for seconds in steps]))
    if case.kind != "sft":
        lines.append(_line("sampled tokens / s, generation", [f"{_sampling_speed(runs[name], args):.0f}" for name in names]))
    lines.append(_line("most memory held, GiB", [_gibibytes(runs[name], "peak_bytes") for name in names]))
    lines.append(_line("of that new in the update, GiB", [_gibibytes(runs[name], "update_bytes") for name in names]))
    lines.append(_line("update, share of the ceiling", [f"{_share(case, name, runs[name], args, ceiling):.1%}" for name in names]))
    if names[0] in {PLAIN, PLAIN_GRPO}:
        lines.append(_line(f"times as fast as {names[0]}", [f"{steps[0] / seconds:.2f}" for seconds in steps]))
    return [*lines, ""]


def _line(label: str, cells: Sequence[str]) -> str:
    return f"| {label} | " + " | ".join(cells) + " |"


def _group(case: Case, args: argparse.Namespace) -> Group:
    num_completions = 1 if case.kind == "sft" else args.generations
    return Group(case.num_image_tokens, NUM_TEXT_TOKENS, num_completions, args.completion_tokens)


def _sampling_speed(runs: Sequence[Sequence[Row]], args: argparse.Namespace) -> float:
    seconds = sum(median_of(runs, "wall", phase) for phase in ("vision", "prefill", "generate"))
    return args.prompts * args.generations * args.completion_tokens / seconds


def _gibibytes(runs: Sequence[Sequence[Row]], key: str) -> str:
    known = [row[key] for rows in runs for row in rows if row[key] is not None]
    return f"{statistics.median(known) / GIB:.2f}" if known else ""


def _share(case: Case, name: str, runs: Sequence[Sequence[Row]], args: argparse.Namespace, ceiling: float) -> float:
    num_groups = args.examples if case.kind == "sft" else args.prompts
    flops = num_groups * update_flops(case.shape, _group(case, args), shared=name not in {PLAIN, PLAIN_GRPO, OFF}, train_vision=False)
    return flops / median_of(runs, "wall", "update") / ceiling


def section_of(page: Path) -> tuple[str, str]:
    """The text of the page before and behind the report."""
    if not page.is_file():
        sys.exit(f"gpu_steps.py: there is no page {page}. Give one with the marks {BEGIN} and {END}, or --results - to print.")
    before, found, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        sys.exit(f"gpu_steps.py: {page} lacks the marks {BEGIN} and {END}. Put them in, or give --results - to print.")
    return before, after


def write_section(page: Path, lines: Sequence[str]) -> None:
    """Puts the report between its marks in the page."""
    before, after = section_of(page)
    page.write_text("\n".join([before + BEGIN, "", *lines, END + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
