# What the scripts of this folder share; they source it after reading their options into `size`, `out` and `dry_run`.

python="${PYTHON:-.venv/bin/python}"

# at_size STUDY: sets `recipes` and `launch`, what starts a training command, for the chosen size.
at_size() {
    case "$size" in
        nano) recipes="recipes/$1/nano" launch="${LAUNCH:-$python -m vlmpost}"; export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" ;;
        study) recipes="recipes/$1" launch="${LAUNCH:-torchrun --nproc_per_node 8 -m vlmpost}" ;;
        *) echo "--size: nano or study, got $size" >&2; exit 2 ;;
    esac
}

run() {
    printf '+ %s\n' "$*"
    [[ -n "$dry_run" ]] || "$@"
}

# train KIND NAME RECIPE [ARGUMENTS]: a training run, gone on with if it was begun, left alone if it is whole.
train() {
    local kind="$1" folder="$out/$2" recipe="$3"
    shift 3
    if [[ -n "$dry_run" ]]; then
        $python -m vlmpost "$kind" "$recipe" --run-dir "$folder" "$@" --dry-run
    elif [[ -d "$folder/final" ]]; then
        echo "$folder: done"
    elif [[ -d "$folder" ]]; then
        run $launch "$kind" "$recipe" --run-dir "$folder" "$@" --resume
    else
        run $launch "$kind" "$recipe" --run-dir "$folder" "$@"
    fi
}
