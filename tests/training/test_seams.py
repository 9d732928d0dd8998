"""Contract tests: they fail when TRL, transformers or accelerate changes something that vlmpost leans on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from vlmpost.errors import ConfigError, RunError
from vlmpost.models.seam import Seam, faults
from vlmpost.training import seams


@pytest.mark.parametrize("seam", seams.SEAMS, ids=lambda seam: seam.target.partition(":")[2])
def test_installed_packages_still_are_what_we_lean_on(seam):
    assert faults(seam) == []


def test_the_table_names_every_seam_once_and_says_why():
    targets = [seam.target for seam in seams.SEAMS]
    assert len(targets) == len(set(targets)) == 31
    assert all(len(seam.why) > 20 for seam in seams.SEAMS)


def test_a_changed_signature_and_a_lost_fragment_are_both_named():
    seam = Seam("vlmpost.training.seams:find_text_norm", ("module",), ("return the norm",), "planted, to see the test fail")
    found = faults(seam)
    assert len(found) == 2
    assert "('model',)" in found[0]
    assert "return the norm" in found[1]


@pytest.mark.train
@pytest.mark.parametrize("family", ["gemma3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm"])
def test_a_strict_reload_restores_every_tensor_where_trainers_own_does_not(family, load_tiny, tmp_path):
    model = load_tiny(family).model
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)
    model.save_pretrained(tmp_path)
    fresh = load_tiny(family).model
    seams.load_weights_strictly(fresh, tmp_path)
    for (name, ours), (_, theirs) in zip(fresh.state_dict().items(), model.state_dict().items(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_checkpoint_without_a_tensor_stops_the_resume_and_names_it(tiny_qwen, tmp_path):
    from safetensors.torch import load_file, save_file

    model, _ = tiny_qwen
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in tensors if "mlp.down_proj" in name and "visual" not in name)
    del tensors[lost]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RunError, match=r"1 missing \(first: .*mlp\.down_proj"):
        seams.load_weights_strictly(model, tmp_path)


def test_an_adapter_of_another_shape_stops_the_resume(tiny_qwen, tmp_path):
    model, _ = tiny_qwen
    narrow = get_peft_model(model, LoraConfig(r=2, target_modules=r".*language_model.*q_proj"))
    narrow.save_pretrained(tmp_path)
    seams.check_adapter_fits(narrow, tmp_path)
    narrow.unload()
    wide = get_peft_model(model, LoraConfig(r=2, target_modules=r".*language_model.*(q_proj|v_proj)"))
    with pytest.raises(RunError, match="holds 4 tensors, the adapter has 8"):
        seams.check_adapter_fits(wide, tmp_path)
    wide.unload()


@pytest.mark.parametrize("family", ["gemma3", "idefics3", "internvl", "llava_onevision", "qwen2_5_vl", "qwen2_vl", "qwen3_vl", "smolvlm"])
def test_the_final_norm_is_found_in_every_family_once_accelerate_is_patched(family, load_tiny):
    from accelerate.utils import fsdp_utils

    model = load_tiny(family).model
    seams.patch_fsdp2_final_norm()
    norm = fsdp_utils._find_final_norm(model)
    assert norm is not None
    assert norm is model.model.language_model.norm if hasattr(model.model, "language_model") else model.model.text_model.norm


def test_patching_twice_is_patching_once():
    from accelerate.utils import fsdp_utils

    seams.patch_fsdp2_final_norm()
    first = fsdp_utils._find_final_norm
    seams.patch_fsdp2_final_norm()
    assert fsdp_utils._find_final_norm is first


class _Headless(nn.Module):
    """A model whose text norm cannot be found and whose head is untied."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace())
        self.embed, self.head = nn.Embedding(4, 2), nn.Linear(2, 4)

    def get_input_embeddings(self) -> nn.Module:
        return self.embed

    def get_output_embeddings(self) -> nn.Module:
        return self.head


@pytest.mark.parametrize("kind", ["fsdp2", "zero3"])
def test_mixed_rows_are_refused_where_they_hang(kind):
    with pytest.raises(ConfigError, match=f"under {kind} a batch without images"):
        seams.guard_sharding(_Headless(), kind=kind, mixed_rows=True, full_finetuning=True)


def test_an_untied_head_without_a_norm_is_refused_under_fsdp2_but_not_with_adapters_or_ddp():
    with pytest.raises(ConfigError, match="wrong gradient"):
        seams.guard_sharding(_Headless(), kind="fsdp2", mixed_rows=False, full_finetuning=True)
    seams.guard_sharding(_Headless(), kind="fsdp2", mixed_rows=False, full_finetuning=False)
    seams.guard_sharding(_Headless(), kind="ddp", mixed_rows=True, full_finetuning=True)
