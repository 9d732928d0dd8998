#!/usr/bin/env bash
# Runs "Demystifying Long Chain-of-Thought Reasoning" (arXiv 2502.03373), its RL part, recipe by recipe: rewards by length, repetition with
# its own discount, windows, noisy answers, the base model, REINFORCE++; then prints a table of the start and all results on unseen problems.
#
#   scripts/reproduce/long_cot_rewards.sh                            the small twins on the shipped model
#   scripts/reproduce/long_cot_rewards.sh --size study --model runs/long_cot_sft/final --data math.jsonl --recipe cosine
#
#   --size nano|study      recipes/long_cot_rewards/nano/ or recipes/long_cot_rewards/ (default nano)
#   --recipe NAME          classic, cosine, ...: a file there without .yaml; again for more (default all)
#   --model PATH           where RL begins (default: nano; study: Qwen2.5-VL-7B, which has had no long-CoT SFT)
#   --data PATH            rows to train on, of text alone or with images; without it problems are drawn
#   --out FOLDER           runs and records (default runs/long_cot_rewards/SIZE)
#   --dry-run              check every recipe, print every command, start nothing
#
# Lengths, repetition and values over a run stand in its metrics.jsonl. A second call goes on where the first one stopped. LAUNCH starts the
# training commands (default: one process; study: torchrun on 8 GPUs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

size=nano start="" data="" out="" dry_run="" names=()
while (($#)); do
    case "$1" in
        --size) size="$2"; shift 2 ;;
        --recipe) names+=("$2"); shift 2 ;;
        --model) start="$2"; shift 2 ;;
        --data) data="$2"; shift 2 ;;
        --out) out="$2"; shift 2 ;;
        --dry-run) dry_run=1; shift ;;
        *) sed -n '2,/^set/p' "$0" | sed '$d' >&2; exit 2 ;;
    esac
done

source scripts/reproduce/runner.sh
at_size long_cot_rewards
case "$size" in
    nano) base=nano questions=(--task card_sums --difficulties 2,3,4 --num-examples 240 --max-completion-length 48) ;;
    study)
        base=Qwen/Qwen2.5-VL-7B-Instruct
        questions=(--task geometry --num-examples 500 --max-completion-length 14336 --temperature 0.7
            --instruction 'Please reason step by step, and put your final answer within \boxed{}.') ;;
esac
if ((${#names[@]} == 0)); then
    for recipe in "$recipes"/*.yaml; do names+=("$(basename "$recipe" .yaml)"); done
fi
for name in "${names[@]}"; do
    if [[ ! -f "$recipes/$name.yaml" ]]; then
        echo "--recipe: $recipes has no $name.yaml; there are: $(cd "$recipes" && ls ./*.yaml | sed 's|./||; s|.yaml||' | tr '\n' ' ')" >&2
        exit 2
    fi
done
out="${out:-runs/long_cot_rewards/$size}"
settings=()
[[ -z "$start" ]] || settings+=(--set "model.path=$start")
[[ -z "$data" ]] || settings+=(--set "data.train=[{path: \"$data\"}]")

models=(--model "start=${start:-$base}")
for name in "${names[@]}"; do
    train rl "$name" "$recipes/$name.yaml" "${settings[@]}"
    models+=(--model "$name=$out/$name/final")
done

run $python scripts/bench/shift_table.py "${questions[@]}" --verify-iterations 1 --shift none "${models[@]}" --out "$out/evaluations"
