"""Where a model runs and in which type: the choices behind `auto`, each said, none made in silence."""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path

import torch
from transformers import BitsAndBytesConfig

from vlmpost.errors import MissingError

logger = logging.getLogger(__name__)

DRIVER_FILE = Path("/proc/driver/nvidia/version")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SMALL_MODEL_PARAMETERS = 20_000_000
"""Below this, several threads on a CPU wait for each other more than they work: many times slower on a busy machine."""
FLASH_PACKAGES = {"flash_attention_2": "flash_attn", "flash_attention_3": "flash_attn_3"}


def choose_device(wanted: str) -> torch.device:
    """Returns the device for "auto", "cpu" or "cuda"; one GPU per process, by LOCAL_RANK.

    Raises:
        MissingError: A GPU was asked for and torch sees none; or "auto" on a machine whose GPU this torch cannot use.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        logger.info("Running on %s (%s).", device, torch.cuda.get_device_name(device))
        return device
    if wanted == "cuda":
        raise MissingError(f"model.device is cuda, but torch {torch.__version__} sees no GPU. Set model.device: cpu, or mend the driver.")
    if DRIVER_FILE.exists() and os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1"):
        raise MissingError(
            f"This machine has an NVIDIA GPU that torch {torch.__version__} cannot use. "
            f"Install a torch with CUDA, or set model.device: cpu to run on the CPU."
        )
    return torch.device("cpu")


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    """Returns the type of the weights; "auto" is bfloat16 on a GPU that has it, else float32."""
    if wanted != "auto":
        return DTYPES[wanted]
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def settle_threads(num_parameters: int, device: torch.device) -> int:
    """Returns torch's number of CPU threads, set to 1 for a small model on a CPU unless OMP_NUM_THREADS is set."""
    if device.type == "cpu" and num_parameters < SMALL_MODEL_PARAMETERS and "OMP_NUM_THREADS" not in os.environ:
        logger.info("One CPU thread for a model of %d parameters; OMP_NUM_THREADS=N overrides it.", num_parameters)
        torch.set_num_threads(1)
    return torch.get_num_threads()


def choose_attention(wanted: str, device: torch.device) -> str:
    """Returns transformers' name of the attention kernel; "auto" is sdpa.

    Raises:
        MissingError: A flash kernel without its package or without a GPU.
    """
    if wanted not in FLASH_PACKAGES:
        return "sdpa" if wanted == "auto" else wanted
    package = FLASH_PACKAGES[wanted]
    if device.type != "cuda" or importlib.util.find_spec(package) is None:
        raise MissingError(f"model.attn_implementation {wanted} needs a GPU and the package {package}. Set it to sdpa.")
    return wanted


def quantization(device: torch.device, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Returns the 4-bit settings of QLoRA: nf4, doubly quantised, computing in `dtype`.

    Raises:
        MissingError: No GPU, or no bitsandbytes.
    """
    if device.type != "cuda" or importlib.util.find_spec("bitsandbytes") is None:
        raise MissingError("model.load_in_4bit needs a GPU and the package bitsandbytes. Set it to false.")
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype)
