"""What of transformers and PEFT merging adapters leans on beside their public API, in one table; a test holds it against the packages."""

from __future__ import annotations

from vlmpost.models.seam import Seam

SEAMS: tuple[Seam, ...] = (
    Seam(
        "transformers.conversion_mapping:get_model_conversion_mapping",
        ("model", "key_mapping", "hf_quantizer", "add_legacy"),
        ("conversions = get_checkpoint_conversion_mapping(class_name)", "isinstance(submodule, PreTrainedModel)"),
        "how the tensors in a folder are called in the model; an adapter names the model's",
        "PEFT uses it too, so its authors promise to coordinate changes",
    ),
    Seam(
        "transformers.core_model_loading:rename_source_key",
        ("source_key", "weight_renamings", "weight_converters", "base_model_prefix", "meta_state_dict", "reverse"),
        (
            "renamed_key = apply_renamings(source_key, weight_renamings)",
            "if base_model_prefix is not None and meta_state_dict is not None:",
            "return renamed_key, converter_source_pattern",
        ),
        "one tensor's name in the model, and None where no conversion changes its numbers",
    ),
    Seam(
        "peft.utils.other:get_pattern_key",
        ("pattern_keys", "key_to_match"),
        ('match = re.match(rf"(.*\\.)?({key})$", key_to_match)', "return key_to_match"),
        "which entry of alpha_pattern holds for a layer",
    ),
)
