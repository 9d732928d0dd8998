#!/usr/bin/env bash
# Runs "Visual Jigsaw Post-Training Improves MLLMs" (arXiv 2509.25190) step by step and prints its tables: GRPO on picture, video and depth
# jigsaws, then the start and the result of each on unseen puzzles, as trained, asked in another order, and in inverted colours.
#
#   scripts/reproduce/jigsaw.sh                              the small twins on the shipped model
#   scripts/reproduce/jigsaw.sh --size study --task image --data FOLDER/train2017
#
#   --size nano|study      recipes/jigsaw/nano/ or recipes/jigsaw/ (default nano)
#   --task NAME            image, video or depth; again for more (default all three)
#   --data FOLDER          stored pictures, videos or RGB-D frames to train on, with one --task; without it scenes are drawn
#   --out FOLDER           runs and records (default runs/jigsaw/SIZE)
#   --dry-run              check every recipe, print every command, start nothing
#
# The small twins begin with a short SFT that teaches the form of an answer, the bare order; the study's model knows its form. A second
# call goes on where the first one stopped. LAUNCH starts the training commands (default: one process; study: torchrun on 8 GPUs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

size=nano data="" out="" dry_run="" tasks=()
while (($#)); do
    case "$1" in
        --size) size="$2"; shift 2 ;;
        --task) tasks+=("$2"); shift 2 ;;
        --data) data="$2"; shift 2 ;;
        --out) out="$2"; shift 2 ;;
        --dry-run) dry_run=1; shift ;;
        *) sed -n '2,/^set/p' "$0" | sed '$d' >&2; exit 2 ;;
    esac
done
((${#tasks[@]})) || tasks=(image video depth)
if [[ -n "$data" && ${#tasks[@]} != 1 ]]; then
    echo "--data: with one --task" >&2
    exit 2
fi

source scripts/reproduce/runner.sh
at_size jigsaw
case "$size" in nano) num_examples=400 ;; study) num_examples=500 ;; esac
out="${out:-runs/jigsaw/$size}"

# puzzle TASK: the options of the small twin's problems, as arguments for the table.
puzzle() {
    local bare=(--set prompt_style=compact --set answer_form=bare --rewards repo_nothink --max-completion-length 12)
    case "$size-$1" in
        nano-image) options=(--set rows=2 --set cols=1 --set layout=one_image --set width=112 --set height=112 "${bare[@]}") ;;
        nano-video) options=(--set num_clips=2 --set max_frames=2 --set num_frames=90 --set drawn_fps=10 --set width=84 --set height=84 "${bare[@]}") ;;
        nano-depth) options=(--set num_points=2 --set width=140 --set height=84 --set 'resize=[140,84]' --set marker_radius=9
            --set min_pixels_apart=28 "${bare[@]}") ;;
        study-*) options=() ;;
        *) echo "--task: image, video or depth, got $1" >&2; exit 2 ;;
    esac
}

for task in "${tasks[@]}"; do
    puzzle "$task"
    start=Qwen/Qwen2.5-VL-7B-Instruct settings=()
    [[ -z "$data" ]] || settings+=(--set "data.train.0.path=$data")
    if [[ "$size" == nano ]]; then
        train sft "$task-sft" "$recipes/${task}_sft.yaml" "${settings[@]}"
        start="$out/$task-sft/final"
        [[ -n "$dry_run" ]] || settings+=(--set "model.path=$start")
    fi
    train rl "$task" "$recipes/$task.yaml" "${settings[@]}"
    run $python scripts/bench/shift_table.py --task "${task}_jigsaw" "${options[@]}" --num-examples "$num_examples" \
        --model "start=$start" --model "GRPO=$out/$task/final" --out "$out/evaluations"
done
