"""Merging real, tiny folders: what is written loads, equals the formula, is bit for bit at the ends, and refuses what does not fit."""

from __future__ import annotations

import json
import re
import shutil
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from vlmpost.config.schema import ModelConfig
from vlmpost.errors import ConfigError, ModelError, RunError
from vlmpost.models.loader import load
from vlmpost.models.merge import MergePlan, MergeResult, checked_formula, is_vision_tower, merge
from vlmpost.models.merging import blocks, stored
from vlmpost.models.merging.methods import METHODS
from vlmpost.models.weights import INDEX_FILE, SINGLE_FILE, weight_files

TinyModel = Callable[[str], Path]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in weight_files(folder) for name, tensor in load_file(file).items()}


def bits(folder: Path) -> dict[str, tuple[torch.dtype, bytes]]:
    return {name: (tensor.dtype, tensor.flatten().view(torch.uint8).numpy().tobytes()) for name, tensor in tensors(folder).items()}


def variant(folder: Path, target: Path, *, seed: int, dtype: torch.dtype | None = None) -> Path:
    """A copy with other weights of the same names: the folder's, plus noise; -0.0 among them."""
    shutil.copytree(folder, target)
    generator = torch.Generator().manual_seed(seed)
    changed = {}
    for name, tensor in tensors(folder).items():
        noisy = tensor + 0.02 * torch.randn(tensor.shape, generator=generator)
        noisy.view(-1)[0] = -0.0
        changed[name] = noisy.to(dtype or tensor.dtype)
    save_file(changed, target / SINGLE_FILE, metadata={"format": "pt"})
    return target


def in_shards(folder: Path, num_shards: int) -> Path:
    """The same folder, its weights split in several files with an index."""
    whole = tensors(folder)
    (folder / SINGLE_FILE).unlink()
    weight_map = {name: f"model-{place % num_shards + 1:05}-of-{num_shards:05}.safetensors" for place, name in enumerate(whole)}
    for file in sorted(set(weight_map.values())):
        save_file({name: whole[name] for name in whole if weight_map[name] == file}, folder / file, metadata={"format": "pt"})
    (folder / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


@pytest.fixture
def three(tiny_model: TinyModel, tmp_path: Path) -> tuple[str, str, str]:
    """A base and two models trained from it."""
    base = tiny_model("qwen2_5_vl")
    return str(base), str(variant(base, tmp_path / "first", seed=1)), str(variant(base, tmp_path / "second", seed=2))


def run(models: tuple[str, ...], out: Path, *, method: str = "linear", base: str | None = None, **options: Any) -> MergeResult:
    chosen = {key: options.pop(key) for key in ("vision", "dtype") if key in options}
    formula = checked_formula(method, num_models=len(models), **options)
    return merge(MergePlan(models=models, formula=formula, base=base, **chosen), out)


@pytest.mark.parametrize("family", ["gemma3", "qwen2_5_vl", "smolvlm"])
def test_a_merged_folder_loads_and_its_logits_are_those_of_averaged_weights(family: str, tiny_model: TinyModel, tmp_path: Path) -> None:
    first, second = (variant(tiny_model(family), tmp_path / name, seed=seed) for seed, name in ((1, "first"), (2, "second")))
    out = run((str(first), str(in_shards(second, 3))), tmp_path / "out").folder
    loaded = load(ModelConfig(path=str(out), dtype="float32"), purpose="eval")
    averaged, other = (AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval() for folder in (first, second))
    with torch.no_grad():
        for parameter, theirs in zip(averaged.parameters(), other.parameters(), strict=True):
            parameter.copy_((parameter + theirs) / 2)
        token_ids = torch.tensor([[20, 30, 40, 50]])
        torch.testing.assert_close(loaded.model(token_ids).logits, averaged(token_ids).logits)


def test_a_tied_head_stays_tied(tiny_model: TinyModel, tmp_path: Path) -> None:
    other = variant(tiny_model("qwen2_vl"), tmp_path / "other", seed=1)
    out = run((str(tiny_model("qwen2_vl")), str(other)), tmp_path / "out").folder
    assert not any("lm_head" in name for name in tensors(out))
    model = load(ModelConfig(path=str(out)), purpose="eval").model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


@pytest.mark.parametrize("method", ["linear", "slerp", "slerp_task", "task_arithmetic", "ties", "dare_linear", "dare_ties", "della"])
def test_weight_0_and_1_give_the_inputs_bit_for_bit(method: str, three: tuple[str, str, str], tmp_path: Path) -> None:
    base, first, second = three
    options: dict[str, Any] = {} if method in ("linear", "slerp") else {"base": base}
    if method in ("ties", "dare_linear", "dare_ties", "della"):
        options["density"] = 1.0
    assert bits(run((first, second), tmp_path / "a", method=method, weights=(1, 0), **options).folder) == bits(Path(first))
    assert bits(run((first, second), tmp_path / "b", method=method, weights=(0, 1), **options).folder) == bits(Path(second))
    if options.get("base"):
        out = run((first, second), tmp_path / "c", method=method, weights=(0.5, 0.5), lam=0.0, **options).folder
        assert bits(out) == bits(Path(base))


def test_the_layout_of_the_files_changes_no_number(three: tuple[str, str, str], tmp_path: Path) -> None:
    base, first, second = three
    options: dict[str, Any] = {"method": "dare_ties", "base": base, "seed": 5}
    whole = run((first, second), tmp_path / "whole", **options).folder
    in_shards(Path(first), 4)
    split = run((first, second), tmp_path / "split", **options).folder
    assert len(weight_files(split)) == 4
    assert bits(whole) == bits(split)
    assert {file.name: list(load_file(file)) for file in weight_files(split)}.keys() == {file.name for file in weight_files(Path(first))}


def test_files_are_what_safetensors_writes_and_reads(three: tuple[str, str, str], tmp_path: Path) -> None:
    out = run(three[1:], tmp_path / "out").folder
    first, second = (tensors(Path(path)) for path in three[1:])
    save_file(tensors(out), tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    assert (out / SINGLE_FILE).stat().st_size == (tmp_path / "theirs.safetensors").stat().st_size
    with safe_open(out / SINGLE_FILE, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
        for name in first:
            torch.testing.assert_close(file.get_tensor(name), (first[name] + second[name]) / 2)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_only_one_block_of_each_model_is_held_at_a_time(
    method: str, three: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 2048)
    held: list[weakref.ref[torch.Tensor]] = []
    most = 0
    original = stored.StoredWeights.reader

    def counted(self: stored.StoredWeights, name: str) -> stored.Read:
        read = original(self, name)

        def reads(start: int, stop: int) -> torch.Tensor:
            nonlocal most
            block = read(start, stop)
            held.append(weakref.ref(block))
            most = max(most, sum(one.numel() for reference in held if (one := reference()) is not None))
            return block

        return reads

    monkeypatch.setattr(stored.StoredWeights, "reader", counted)
    run(three[1:], tmp_path / "out", method=method, base=three[0] if METHODS[method].on_task_vectors else None)
    # The largest tensor, the vision tower's first, has 64 x 3 x 2 x 14 x 14 = 75264 numbers: 37 blocks.
    assert max(tensor.numel() for tensor in tensors(Path(three[0])).values()) == 75264
    assert most <= 3 * 2048


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_size_of_a_block_changes_no_number_that_is_not_drawn(
    method: str, three: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"method": method, "base": three[0] if METHODS[method].on_task_vectors else None}
    whole = tensors(run(three[1:], tmp_path / "whole", **options).folder)
    monkeypatch.setattr(blocks, "BLOCK_SIZE", 256)
    split = tensors(run(three[1:], tmp_path / "split", **options).folder)
    for name, tensor in whole.items():
        torch.testing.assert_close(split[name], tensor, msg=name)


def test_arithmetic_is_float32_and_the_type_that_is_saved_is_chosen(three: tuple[str, str, str], tmp_path: Path) -> None:
    base = Path(three[0])
    first, second = (variant(base, tmp_path / f"b{seed}", seed=seed, dtype=torch.bfloat16) for seed in (3, 4))
    as_first = tensors(run((str(first), str(second)), tmp_path / "x").folder)
    out = run((str(first), str(second)), tmp_path / "y", dtype="float32").folder
    name = "model.layers.0.mlp.up_proj.weight"
    exact = (tensors(first)[name].float() + tensors(second)[name].float()) / 2
    assert torch.equal(tensors(out)[name], exact)
    assert torch.equal(as_first[name], exact.bfloat16())
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"


@pytest.mark.parametrize(("vision", "source"), [("keep", 0), ("1", 1), ("2", 2)])
def test_the_vision_tower_comes_from_where_the_policy_says(vision: str, source: int, three: tuple[str, str, str], tmp_path: Path) -> None:
    out = run(three[1:], tmp_path / "out", base=three[0] if vision == "keep" else None, vision=vision).folder
    tower = bits(Path(three[source]))
    number = 0
    for name, content in bits(out).items():
        if is_vision_tower(name):
            assert content == tower[name]
            number += 1
        else:
            assert content not in (bits_of[name] for bits_of in map(bits, map(Path, three)))
    assert number > 10


def test_processor_template_and_generation_config_travel_along_and_differences_are_said(
    three: tuple[str, str, str], tmp_path: Path
) -> None:
    _, first, second = map(Path, three)
    (second / "chat_template.jinja").write_text("{{ messages }}")
    config = json.loads((second / "config.json").read_text())
    config["transformers_version"] = "0.0"
    config["text_config"]["rope_parameters"]["rope_theta"] = 5.0
    (second / "config.json").write_text(json.dumps(config))
    result = run((str(first), str(second)), tmp_path / "out")
    beside = {path.name for path in first.iterdir()} - {SINGLE_FILE}
    assert {path.name for path in result.folder.iterdir()} == beside | {SINGLE_FILE, "merge.json"}
    assert all((result.folder / name).read_bytes() == (first / name).read_bytes() for name in beside)
    assert result.notes == (
        f"chat_template.jinja of {second} differs; the first model's is kept.",
        f"config.json of {second} differs (text_config.rope_parameters.rope_theta); the first model's is kept.",
    )


def test_the_record_names_method_numbers_and_inputs(three: tuple[str, str, str], tmp_path: Path) -> None:
    result = run(three[1:], tmp_path / "out", method="della", base=three[0], density=0.6, epsilon=0.2, lam=0.5, seed=3, weights=(1, 2))
    record = json.loads((result.folder / "merge.json").read_text())
    kept = {key: record[key] for key in ("method", "weights", "density", "epsilon", "lam", "seed", "vision", "dtype")}
    assert kept == {
        "method": "della",
        "weights": [1, 2],
        "density": 0.6,
        "epsilon": 0.2,
        "lam": 0.5,
        "seed": 3,
        "vision": "merge",
        "dtype": None,
    }
    expected = [load(ModelConfig(path=path), purpose="eval").model_hash for path in three]
    assert [record["base"]["model_hash"], *(entry["model_hash"] for entry in record["inputs"])] == expected


def test_any_architecture_merges_and_whole_numbers_must_agree(tmp_path: Path) -> None:
    for name, counts in (("a", [1, 2]), ("b", [1, 2]), ("c", [1, 3])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "nobody_knows_it"}')
        content = {"odd.tensor": torch.full((3, 2), float(sum(counts))), "counts": torch.tensor(counts), "one": torch.tensor(2.0)}
        save_file(content, tmp_path / name / SINGLE_FILE)
    out = run((str(tmp_path / "a"), str(tmp_path / "b")), tmp_path / "out").folder
    assert tensors(out)["counts"].tolist() == [1, 2]
    assert tensors(out)["one"].tolist() == 2.0
    with pytest.raises(ModelError, match="differ in counts, which holds whole numbers"):
        run((str(tmp_path / "a"), str(tmp_path / "c")), tmp_path / "other")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tmp")]


def changed_weights(folder: Path, *, without: Sequence[str] = (), **replaced: torch.Tensor) -> None:
    content = {name: tensor for name, tensor in tensors(folder).items() if name not in without}
    save_file({**content, **replaced}, folder / SINGLE_FILE, metadata={"format": "pt"})


def test_differing_names_are_listed_with_a_count(three: tuple[str, str, str], tmp_path: Path) -> None:
    layers = [name for name in tensors(Path(three[2])) if name.startswith("model.layers.1.")]
    changed_weights(Path(three[2]), without=layers)
    with pytest.raises(ModelError) as caught:
        run(three[1:], tmp_path / "out")
    assert f"{len(layers)} tensors missing: {layers[0]}, {layers[1]}" in str(caught.value)
    assert f"{layers[9]} and {len(layers) - 10} more" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_differing_shapes_are_listed(three: tuple[str, str, str], tmp_path: Path) -> None:
    changed_weights(Path(three[2]), **{"model.norm.weight": torch.ones(65)})
    with pytest.raises(ModelError, match=r"1 tensor of another shape: model.norm.weight \[64\] against \[65\]"):
        run(three[1:], tmp_path / "out")


def test_differing_ties_are_an_error(three: tuple[str, str, str], tmp_path: Path) -> None:
    config = Path(three[2]) / "config.json"
    value = json.loads(config.read_text())
    value["tie_word_embeddings"] = True
    config.write_text(json.dumps(value))
    with pytest.raises(ModelError, match="tie_word_embeddings true against false"):
        run(three[1:], tmp_path / "out")
    changed_weights(Path(three[2]), without=["lm_head.weight"])
    with pytest.raises(ModelError, match=r"1 tensor missing: lm_head\.weight"):
        run(three[1:], tmp_path / "out")


def test_another_family_is_refused(three: tuple[str, str, str], tiny_model: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="model_type 'smolvlm' against 'qwen2_5_vl'"):
        run((three[1], str(tiny_model("smolvlm"))), tmp_path / "out")


def test_numbers_that_the_saved_type_cannot_hold_are_refused(three: tuple[str, str, str], tmp_path: Path) -> None:
    changed_weights(Path(three[2]), **{"model.norm.weight": torch.full((64,), 1e6)})
    with pytest.raises(ModelError, match=r"model\.norm\.weight would hold numbers too large for float16.*--dtype float32"):
        run(three[1:], tmp_path / "out", dtype="float16")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_broken_model_is_refused_by_name(value: float, method: str, three: tuple[str, str, str], tmp_path: Path) -> None:
    broken = tensors(Path(three[2]))["model.norm.weight"].clone()
    broken[3] = value
    changed_weights(Path(three[2]), **{"model.norm.weight": broken})
    base = three[0] if METHODS[method].on_task_vectors else None
    message = re.escape(f"model.norm.weight of {three[2]} holds infinities or NaN")
    with pytest.raises(ModelError, match=message):
        run(three[1:], tmp_path / "out", method=method, base=base)
    with pytest.raises(ModelError, match=message):  # copied as it is
        run(three[1:], tmp_path / "out", weights=(0, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_another_vocabulary_is_named_with_both_sizes(three: tuple[str, str, str], tmp_path: Path) -> None:
    whole = tensors(Path(three[2]))
    longer = {name: torch.cat([whole[name], whole[name][:1]]) for name in ("model.embed_tokens.weight", "lm_head.weight")}
    num = whole["lm_head.weight"].shape[0]
    changed_weights(Path(three[2]), **longer)
    with pytest.raises(ModelError, match="2 tensors of another shape") as caught:
        run(three[1:], tmp_path / "out")
    assert f"lm_head.weight [{num}, 64] against [{num + 1}, 64]" in str(caught.value)


def test_every_difference_of_every_model_is_in_one_error(three: tuple[str, str, str], tmp_path: Path) -> None:
    changed_weights(Path(three[1]), without=["lm_head.weight"], extra=torch.ones(2))
    changed_weights(Path(three[2]), **{"model.norm.weight": torch.ones(65), "counts": torch.ones(2, dtype=torch.int64)})
    with pytest.raises(ModelError) as caught:
        run((three[0], three[1], three[2]), tmp_path / "out")
    for part in (
        f"{three[1]}: 1 tensor missing: lm_head.weight; 1 tensor in it alone: extra",
        f"{three[2]}: 1 tensor in it alone: counts; 1 tensor of another shape: model.norm.weight [64] against [65]",
    ):
        assert part in str(caught.value)


def test_models_of_two_types_mix_in_float32_and_either_end_is_bit_for_bit(three: tuple[str, str, str], tmp_path: Path) -> None:
    narrow = variant(Path(three[0]), tmp_path / "narrow", seed=5, dtype=torch.bfloat16)
    config = json.loads((narrow / "config.json").read_text())
    (narrow / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    pair = (str(narrow), three[2])
    name = "model.layers.0.mlp.up_proj.weight"
    middle = tensors(run(pair, tmp_path / "middle", weights=(0.5, 0.5)).folder)[name]
    exact = (tensors(narrow)[name].float() + tensors(Path(three[2]))[name]) / 2
    assert torch.equal(middle, exact.bfloat16())
    assert bits(run(pair, tmp_path / "a", weights=(1, 0)).folder) == bits(narrow)
    wide = run(pair, tmp_path / "b", weights=(0, 1)).folder
    assert bits(wide) == bits(Path(three[2]))
    assert json.loads((wide / "config.json").read_text())["dtype"] == "float32"
    assert json.loads((tmp_path / "a" / "config.json").read_text())["dtype"] == "bfloat16"


def test_an_existing_output_is_refused_and_left_as_it_is(three: tuple[str, str, str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(RunError, match=r"exists already\. Choose another folder, or delete it"):
        run(three[1:], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "blend"}, "'blend' is unknown. Choose one of: dare_linear, .*ties"),
        ({"weights": (1.0,)}, "1 weights for 2 models"),
        ({"weights": (1.0, -1.0)}, "divided by their sum, which is 0"),
        ({"weights": (1.0, float("nan"))}, "finite"),
        ({"density": 0.5}, "does not use --density"),
        ({"method": "ties"}, "give --base"),
        ({"method": "ties", "base": "nano", "seed": 1}, "does not use --seed"),
        ({"method": "ties", "base": "nano", "density": 0.0}, "above 0, at most 1; got 0.0"),
        ({"method": "ties", "base": "nano", "weights": (2.0, -1.0)}, "shares"),
        ({"method": "della", "base": "nano", "density": 0.9, "epsilon": 0.3}, "outside 0 to 1"),
        ({"base": "nano"}, "does not use --base"),
        ({"vision": "keep"}, "give --base"),
        ({"vision": "3"}, "a model's number: 1, 2"),
        ({"dtype": "int8"}, "bfloat16, float16, float32"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run(("nano", "nano"), tmp_path / "out", **options)


def test_an_arc_has_two_ends(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give two, not 3"):
        run(("nano", "nano", "nano"), tmp_path / "out", method="slerp")
