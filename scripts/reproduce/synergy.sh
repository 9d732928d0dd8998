#!/usr/bin/env bash
# Runs "The Synergy Dilemma of Long-CoT SFT and RL" (arXiv 2507.07562) step by step: three SFT sets, the traces of the third, RL with two
# ablations, the five ways to combine SFT and RL, levels from 16 answers of the base, and each model on each benchmark, as the study's table.
#
#   scripts/reproduce/synergy.sh                          the small twins on the shipped model
#   scripts/reproduce/synergy.sh --size study --s1 s1.jsonl --s1-1 s1_1.jsonl --part sft
#   scripts/reproduce/synergy.sh --size study --part combine --part levels --part measure
#
#   --size nano|study      recipes/synergy/nano/ or recipes/synergy/ (default nano)
#   --part NAME            sft, curate, rl, combine, levels or measure; again for more (default all, in this order)
#   --s1 PATH, --s1-1 PATH rows of s1K and s1K-1.1, from scripts/reproduce/s1_rows.py
#   --questions PATH       questions that curate_eureka.yaml asks (the study's are those of MM-Eureka)
#   --data PATH            questions with traces (default for study: JierunChen/Eureka-Distill; --data curated: those of the part curate)
#   --benchmark NAME=PATH  again for more; a local export or a hub id (default for study: the study's five, with its own levels beside)
#   --split NAME           split of the benchmarks (default test)
#   --out FOLDER           runs and records (default runs/synergy/SIZE)
#   --dry-run              check every recipe, print every command, start nothing
#
# Without rows the recipes' drawn problems stand for them. A second call goes on where the first one stopped. LAUNCH starts the training
# commands (default: one process; study: accelerate with FSDP2 on 8 GPUs).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

size=nano s1="" s1_1="" questions="" data="" split=test out="" dry_run="" parts=() benchmarks=()
while (($#)); do
    case "$1" in
        --size) size="$2"; shift 2 ;;
        --part) parts+=("$2"); shift 2 ;;
        --s1) s1="$2"; shift 2 ;;
        --s1-1) s1_1="$2"; shift 2 ;;
        --questions) questions="$2"; shift 2 ;;
        --data) data="$2"; shift 2 ;;
        --benchmark) benchmarks+=("$2"); shift 2 ;;
        --split) split="$2"; shift 2 ;;
        --out) out="$2"; shift 2 ;;
        --dry-run) dry_run=1; shift ;;
        *) sed -n '2,/^set/p' "$0" | sed '$d' >&2; exit 2 ;;
    esac
done
((${#parts[@]})) || parts=(sft curate rl combine levels measure)
for part in "${parts[@]}"; do
    case "$part" in sft | curate | rl | combine | levels | measure) ;; *) echo "--part: sft, curate, rl, combine, levels or measure, got $part" >&2; exit 2 ;; esac
done

source scripts/reproduce/runner.sh
at_size synergy
out="${out:-runs/synergy/$size}"
case "$size" in
    nano)
        base=nano best_sft="$out/sft_eureka/final"
        sampling=(--num-examples 100 --data-seed 1 --max-completion-length 48) instruction=()
        ((${#benchmarks[@]})) || benchmarks=(drawn=card_sums,charts,comparing,counting)
        ;;
    study)
        base=Qwen/Qwen2.5-VL-7B-Instruct best_sft="$out/sft_eureka/checkpoints/step_004252"
        launch="${LAUNCH:-accelerate launch --config_file scripts/accelerate/fsdp2.yaml --num_processes 8 -m vlmpost}"
        sampling=(--temperature 0.6 --top-p 0.95 --top-k 20 --max-completion-length 24576 --image-max-pixels 1003520)
        instruction=(--instruction 'Please reason step by step within <think> </think> tags, and put your final answer within \boxed{}.')
        [[ -n "$data" ]] || data=JierunChen/Eureka-Distill
        if ((${#benchmarks[@]} == 0)); then
            for name in MathVision MathVerse MathVista MMMU MMStar; do benchmarks+=("$name=JierunChen/${name}_with_difficulty_level"); done
        fi
        ;;
esac
[[ "$data" != curated ]] || data="$out/eureka/train.jsonl"

# rows SECTION PATH: the setting that puts stored rows in the place of a recipe's sources, if there are any.
rows() { settings=(); [[ -z "$2" || -n "$dry_run" ]] || settings=(--set "$1=[{path: \"$2\"}]"); }

# curate NAME RECIPE [ARGUMENTS]: goes on by itself.
curate() {
    local name="$1" recipe="$2"
    shift 2
    if [[ -n "$dry_run" ]]; then $python -m vlmpost curate "$recipe" --out "$out/$name" --dry-run
    else run $python -m vlmpost curate "$recipe" --out "$out/$name" "$@"; fi
}

# combine NAME [ARGUMENTS]: a strategy by its recipe.
combine() {
    local name="$1" questions=() section
    shift
    for section in rl sft; do
        [[ -z "$data" || -n "$dry_run" ]] || ! grep -q "^$section:" "$recipes/$name.yaml" || questions+=(--set "$section.data.train=[{path: \"$data\"}]")
    done
    if [[ -n "$dry_run" ]]; then train combine "$name" "$recipes/$name.yaml"; else train combine "$name" "$recipes/$name.yaml" "${questions[@]}" "$@"; fi
}

do_sft() {
    rows data.train "$s1"; train sft sft_s1 "$recipes/sft_s1.yaml" "${settings[@]}"
    rows data.train "$s1_1"; train sft sft_s1_1 "$recipes/sft_s1_1.yaml" "${settings[@]}"
    rows data.train "$data"; train sft sft_eureka "$recipes/sft_eureka.yaml" "${settings[@]}"
}

do_curate() {
    rows data "$questions"
    [[ "$size" == nano ]] || settings+=(--set "model.path=$out/sft_s1_1/final")
    curate eureka "$recipes/curate_eureka.yaml" "${settings[@]}"
}

do_rl() {
    rows data.train "$data"
    train rl rl "$recipes/rl.yaml" "${settings[@]}"
    train rl rl_no_kl "$recipes/rl_no_kl.yaml" "${settings[@]}"
    if [[ -n "$data" && -z "$dry_run" ]]; then
        rows data "$data"
        curate base_answers "$recipes/curate_eureka.yaml" "${settings[@]}" --set keep.max_rows=null
        run $python scripts/reproduce/without_easiest.py "$data" "$out/base_answers/pass_rates.jsonl" --out "$out/without_easiest"
        rows data.train "$out/without_easiest"
    else
        settings=()
    fi
    train rl rl_without_easiest "$recipes/rl_without_easiest.yaml" "${settings[@]}"
}

do_combine() {
    combine two_stage --set sft=null --set two_stage.start=final --set "two_stage.sft_model=$best_sft"
    combine interleaved
    combine interleaved_sft_on_all
    combine progressive
    combine data_mix --set "data_mix.sft_model=$best_sft" --set "data_mix.rl_model=$out/rl/final"
    combine merge --set sft=null --set rl=null --set "merge.sft_model=$best_sft" --set "merge.rl_model=$out/rl/final"
}

# ask FOLDER MODEL BENCHMARK [ARGUMENTS]: a model's answers; several sources of a benchmark are parted by commas.
ask() {
    local folder="$1" model="$2" sources=() source
    IFS=, read -r -a paths <<<"${3#*=}"
    for source in "${paths[@]}"; do sources+=(--data "$source"); done
    shift 3
    run $python -m vlmpost eval "$model" "${sources[@]}" --split "$split" "${sampling[@]}" --out "$folder" "$@"
}

# The base gets the benchmark's own prompt, without the instruction; its levels come from answers that measure nothing else.
do_levels() {
    local benchmark
    for benchmark in "${benchmarks[@]}"; do
        ask "$out/levels/${benchmark%%=*}" "$base" "$benchmark" --num-samples 16 --seed 0 --write-levels "$out/levels/${benchmark%%=*}.jsonl"
    done
}

do_measure() {
    local benchmark name folder
    local models=("base=$base" "s1=$out/sft_s1/final" "s1.1=$out/sft_s1_1/final" "SFT=$best_sft" "RL=$out/rl/final"
        "RL, no KL=$out/rl_no_kl/final" "RL, no easiest=$out/rl_without_easiest/final" "two-stage=$out/two_stage/final"
        "interleaved=$out/interleaved/final" "SFT on all=$out/interleaved_sft_on_all/final" "progressive=$out/progressive/final"
        "data mixing=$out/data_mix/final" "merging=$out/merge/final")
    for benchmark in "${benchmarks[@]}"; do
        local named=()
        for model in "${models[@]}"; do
            name="${model%%=*}" folder="$out/answers/${benchmark%%=*}/$(tr -c 'A-Za-z0-9.\n' _ <<<"${model%%=*}")"
            if [[ "$name" == base ]]; then ask "$folder" "$base" "$benchmark" --num-samples 4 --seed 1
            else ask "$folder" "${model#*=}" "$benchmark" --num-samples 4 --seed 1 "${instruction[@]}"; fi
            named+=(--model "$name=$folder")
        done
        echo "${benchmark%%=*}"
        run $python scripts/bench/strategy_table.py --levels "$out/levels/${benchmark%%=*}.jsonl" "${named[@]}"
    done
}

for part in "${parts[@]}"; do "do_$part"; done
