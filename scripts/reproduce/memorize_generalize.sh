#!/usr/bin/env bash
# Runs "SFT Memorizes, RL Generalizes" (arXiv 2501.17161) step by step and prints its table: SFT, RL from an early checkpoint of it with
# several numbers of verification iterations, then all of them on unseen problems in distribution, under another rule, in other looks.
#
#   scripts/reproduce/memorize_generalize.sh                     the small twin of GP-VL on the shipped model
#   scripts/reproduce/memorize_generalize.sh --size study --task gp_l
#
#   --size nano|study      recipes/memorize_generalize/nano/ or recipes/memorize_generalize/ (default nano)
#   --task NAME            gp_l, gp_vl, virl_l or virl_vl (default gp_vl)
#   --iterations "V ..."   verification iterations of the RL runs (default "3"; study: "1 3 5 10" for gp_*, "2" for virl_*)
#   --out FOLDER           runs and records (default runs/memorize_generalize/SIZE-TASK)
#   --dry-run              check every recipe, print every command, start nothing
#
# A second call goes on where the first one stopped. LAUNCH starts the training commands (default: one process; study: torchrun on 8 GPUs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

size=nano task=gp_vl iterations="" out="" dry_run=""
while (($#)); do
    case "$1" in
        --size) size="$2"; shift 2 ;;
        --task) task="$2"; shift 2 ;;
        --iterations) iterations="$2"; shift 2 ;;
        --out) out="$2"; shift 2 ;;
        --dry-run) dry_run=1; shift ;;
        *) sed -n '2,/^set/p' "$0" | sed '$d' >&2; exit 2 ;;
    esac
done

source scripts/reproduce/runner.sh
at_size memorize_generalize

# The early checkpoint that SFT and RL are compared from, and how the table's problems are drawn and answered.
hands=(--task general_points --num-examples 234)
cards=(--set num_cards=3 --set target=10 --set 'ranks=[2,3,4,5,6,7,8,9,11,12,13]' --set prompt_style=compact)
walks=(--task navigation --num-examples 48 --max-completion-length 256)
streets=(--set prompt_style=compact --set 'num_legs=[1,1]' --set straight_line_length=2)
case "$size-$task" in
    study-gp_l) start=400 attempts=5 questions=("${hands[@]}" --set mode=text) ;;
    study-gp_vl) start=200 attempts=5 questions=("${hands[@]}") ;;
    study-virl_l) start=25 attempts=2 questions=("${walks[@]}") ;;
    study-virl_vl) start=100 attempts=2 questions=("${walks[@]}" --set mode=vision) ;;
    nano-gp_l) start=200 attempts=3 questions=("${hands[@]}" "${cards[@]}" --set mode=text --set reply_style=formula --max-completion-length 24) ;;
    nano-gp_vl) start=200 attempts=3 questions=("${hands[@]}" "${cards[@]}" --set layout=strip --max-completion-length 96) ;;
    nano-virl_l) start=160 attempts=2 questions=("${walks[@]}" "${streets[@]}" --max-completion-length 24) ;;
    nano-virl_vl) start=160 attempts=2 questions=("${walks[@]}" "${streets[@]}" --set mode=vision --set tile_pixels=28 --max-completion-length 24) ;;
    *) echo "--task: gp_l, gp_vl, virl_l or virl_vl, got $task" >&2; exit 2 ;;
esac
if [[ -z "$iterations" ]]; then
    case "$size-$task" in study-gp_*) iterations="1 3 5 10" ;; *-virl_*) iterations=2 ;; *) iterations=3 ;; esac
fi
out="${out:-runs/memorize_generalize/$size-$task}"

train sft sft "$recipes/${task}_sft.yaml"
base="$out/sft/checkpoints/$(printf "step_%06d" "$start")"
models=(--model "base=$base" --model "SFT=$out/sft/final")
for v in $iterations; do
    settings=(--set "episode.verify_iterations=$v")
    # About as many replies in an update for every V: 2,048 at the study's size.
    if [[ "$size" == study && "$task" == gp_* ]]; then
        case "$v" in 1) prompts=1024 ;; 3) prompts=352 ;; 5) prompts=192 ;; 10) prompts=96 ;; *) prompts=$((1024 / v / 16 * 16)) ;; esac
        settings+=(--set "training.prompts_per_step=$prompts")
    fi
    [[ -n "$dry_run" ]] || settings+=(--set "model.path=$base")
    train rl "ppo-v$v" "$recipes/${task}_ppo.yaml" "${settings[@]}"
    models+=(--model "PPO-$v=$out/ppo-v$v/final")
done

run $python scripts/bench/shift_table.py "${questions[@]}" "${models[@]}" --verify-iterations "$attempts" --out "$out/evaluations"
