"""Names of other tools and other places lead to the right key, and every hint points at a key that exists."""

from __future__ import annotations

import pytest

from vlmpost.config.describe import describe
from vlmpost.config.foreign import COMMAND_LINE, FOREIGN, NOT_HERE, SFT_INSTEAD
from vlmpost.config.hints import unknown_key
from vlmpost.config.yaml_text import Key


def keys(kind: str) -> set[str]:
    return {help_.key.replace(".N.", ".0.") for help_ in describe(kind)}  # type: ignore[arg-type]


def test_every_foreign_name_leads_to_a_key_of_rl() -> None:
    assert {target for target in FOREIGN.values() if target not in keys("rl")} == set()
    assert len(FOREIGN) >= 100


def test_every_detour_of_sft_leads_to_a_key_of_sft() -> None:
    assert {target for target in SFT_INSTEAD.values() if target not in keys("sft")} == set()


def test_no_foreign_name_is_a_key_of_ours() -> None:
    ours = {key.rpartition(".")[2] for key in keys("rl") | keys("sft")}
    # `n` of EasyR1 and verl is no key here; a name that is ours elsewhere is told by its section, not by this table.
    assert (set(FOREIGN) | set(COMMAND_LINE) | set(NOT_HERE)) & ours == set()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (("data", "cutoff_len"), "`cutoff_len` is `data.max_length` here"),
        (("cutoff_len",), "`cutoff_len` is `data.max_length` here"),
        (("model", "freeze_vit"), "`freeze_vit` is `model.freeze_vision_tower` here"),
        (("lora_rank",), "`lora_rank` is `model.lora_r` here"),
        (("tuner_type",), "`tuner_type` is `model.use_peft` here"),
        (("finetuning_type",), "`finetuning_type` is `model.use_peft` here"),
        (("reward_funcs",), "`reward_funcs` is `rewards` here"),
        (("worker",), "a section of EasyR1"),
        (("output_dir",), "a flag here: --run-dir"),
        (("template",), "the processor's own chat template is always used"),
        (("algorithm", "kl_coef"), "`kl_coef` is `algorithm.beta` here"),
        (("max_response_length",), "`max_response_length` is `generation.max_completion_length` here"),
        (("rollout_batch_size",), "`rollout_batch_size` is `training.prompts_per_step` here"),
        (("image_max_pixels",), "`image_max_pixels` belongs under model:"),
        (("training", "temperature"), "`temperature` belongs under generation:"),
        (("data", "seed"), "`seed` belongs under"),
        (("data", "num_generation"), "did you mean algorithm.num_generations?"),
        (("rewards", 0, "wieght"), "did you mean weight?"),
    ],
)
def test_a_key_from_elsewhere_is_led_home(key: Key, said: str) -> None:
    assert said in unknown_key("rl", key)


def test_sft_is_led_to_its_own_keys() -> None:
    assert "`rollout_batch_size` is `training.examples_per_step` here" in unknown_key("sft", ("rollout_batch_size",))
    assert "a key of `vlmpost rl` recipes (under training:)" in unknown_key("sft", ("training", "prompts_per_step"))
    assert "`rewards`" not in unknown_key("sft", ("reward_funcs",)) or "vlmpost rl" in unknown_key("sft", ("reward_funcs",))
