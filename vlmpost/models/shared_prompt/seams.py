"""What of transformers the shared prompt leans on beside its public API, in one table; a test holds it against the installed package."""

from __future__ import annotations

from vlmpost.models.seam import Seam

_MODELS = "transformers.models."
_TEXT_ATTENTIONS = {
    "gemma3": "Gemma3Attention",
    "llama": "LlamaAttention",
    "qwen2": "Qwen2Attention",
    "qwen2_5_vl": "Qwen2_5_VLAttention",
    "qwen2_vl": "Qwen2VLAttention",
    "qwen3_vl": "Qwen3VLTextAttention",
}
"""The language models of the families: Idefics3 and SmolVLM have a Llama; InternVL and LLaVA-OneVision have a Qwen2."""

_GRID_MODELS = {"qwen2_5_vl": "Qwen2_5_VLModel", "qwen2_vl": "Qwen2VLModel", "qwen3_vl": "Qwen3VLModel"}
_CALL = (
    "ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, eager_attention_forward)",
    "self, query_states, key_states, value_states, attention_mask, dropout=",
    "scaling=self.scaling,",
    "**kwargs,)",
)
_TEXT_FORWARDS = {
    name: ("self", "hidden_states", *middle, "kwargs")
    for name, middle in {
        "gemma3": ("position_embeddings", "attention_mask", "past_key_values"),
        "llama": ("position_embeddings", "attention_mask", "past_key_values"),
        "qwen2": ("position_embeddings", "attention_mask", "past_key_values"),
        "qwen2_5_vl": ("attention_mask", "position_ids", "past_key_values", "position_embeddings"),
        "qwen2_vl": ("attention_mask", "position_ids", "past_key_values", "position_embeddings"),
        "qwen3_vl": ("position_embeddings", "attention_mask", "past_key_values"),
    }.items()
}
_EAGER_SETTINGS = {"gemma3": ("dropout", "scaling", "softcap")}

SEAMS: tuple[Seam, ...] = (
    *(
        Seam(
            f"{_MODELS}{name}.modeling_{name}:{attention}.forward",
            _TEXT_FORWARDS[name],
            _CALL,
            "attention is looked up at each call, and keywords of the model's forward come along",
        )
        for name, attention in _TEXT_ATTENTIONS.items()
    ),
    *(
        Seam(
            f"{_MODELS}{name}.modeling_{name}:eager_attention_forward",
            ("module", "query", "key", "value", "attention_mask", *_EAGER_SETTINGS.get(name, ("scaling", "dropout")), "kwargs"),
            (),
            "stands for the name 'eager', which no table holds, in calls without a layout",
        )
        for name in _TEXT_ATTENTIONS
    ),
    *(
        Seam(
            f"{_MODELS}{name}.modeling_{name}:{model}.get_rope_index",
            (
                "self",
                "input_ids",
                "mm_token_type_ids",
                "image_grid_thw",
                "video_grid_thw",
                *(("second_per_grid_ts",) if name == "qwen2_5_vl" else ()),
                "attention_mask",
                "kwargs",
            ),
            ("return position_ids, mrope_position_deltas", "llm_positions.max() + 1 - len(current_input_ids)"),
            "positions of a prompt's tokens; an answer goes on from the largest",
        )
        for name, model in _GRID_MODELS.items()
    ),
    *(
        Seam(
            f"{_MODELS}{name}.modeling_{name}:{model}.get_image_features",
            ("self", "pixel_values", "pixel_attention_mask", "kwargs"),
            ("real_images_inds = (pixel_values == 0.0).sum(dim=(-1, -2, -3)) != nb_values_per_image",),
            "tiles that only fill a prompt up are all 0 and are skipped",
        )
        for name, model in {"idefics3": "Idefics3Model", "smolvlm": "SmolVLMModel"}.items()
    ),
    Seam(
        "transformers.masking_utils:_preprocess_mask_arguments",
        (
            "config",
            "inputs_embeds",
            "attention_mask",
            "past_key_values",
            "position_ids",
            "layer_idx",
            "encoder_hidden_states",
        ),
        (
            "len(attention_mask.shape) == 4: return True, attention_mask,",
            "if config._attn_implementation not in ALL_MASK_ATTENTION_FUNCTIONS._global_mapping: return True, None,",
        ),
        "a mask of four dimensions is taken as finished, whatever its size, so that none of T x T is made",
    ),
    Seam(
        "transformers.masking_utils:sliding_window_overlay",
        ("sliding_window",),
        ("return kv_idx > q_idx - sliding_window",),
        "what a sliding window lets through",
    ),
    Seam(
        _MODELS + "gemma3.modeling_gemma3:create_masks_for_vision_model",
        ("config", "inputs_embeds", "attention_mask", "past_key_values", "position_ids", "block_sequence_ids"),
        (
            "full_mask = create_causal_mask(**mask_kwargs, block_sequence_ids=block_sequence_ids)",
            "or_mask_function=blockwise_overlay(padded_block_sequence_ids),",
            "and_mask_function=sliding_window_overlay(config.sliding_window),",
        ),
        "Gemma3's images: a window over what is causal or of one image",
    ),
    Seam(
        "transformers.configuration_utils:PreTrainedConfig._remove_keys_not_serialized",
        ("self", "d"),
        ('"_attn_implementation_internal",',),
        "the name of an attention never reaches config.json",
    ),
)
