"""Choose the device, the number format and the batch size of a model."""

import torch

from tasks.errors import ConfigurationError
from tasks.model import Dtype
from tasks.shown import counted

# Enough for every multiprocessor of a large GPU; on a CPU one clip fills the cores, and a batch
# only spares the overhead of a call.
GPU_BATCH_SIZE = 64
CPU_BATCH_SIZE = 8


def choose_device(name: str) -> torch.device:
    """Return the device of this name; ``auto`` is the GPU where there is one.

    Raises:
        ConfigurationError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(
            f"There is no device {name!r}: use auto, cpu or cuda:N."
        ) from error
    number = int(name.partition(":")[2] or 0)  # PyTorch's own is a byte: it takes 999 for -25
    if device.type == "cuda" and number >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ConfigurationError(f"There is no {name} here: {counted(count, 'GPU')} can be used.")
    return device


def choose_dtype(name: Dtype, device: torch.device) -> Dtype:
    """Return ``bfloat16`` for ``auto`` where the device has instructions for it, else ``float32``.

    Without them bfloat16 is converted to float32 and back, which is slower than float32.
    """
    if name != "auto":
        return name
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # AST-base in bfloat16 takes a third of float32's time with AMX (Intel, from Sapphire Rapids
        # on), three fifths with AVX-512's dot product (AMD, from Zen 4 on).
        capabilities = torch.cpu.get_capabilities()
        fast = any(capabilities.get(bf16) for bf16 in ("amx_bf16", "avx512_bf16"))
    return "bfloat16" if fast else "float32"


def describe_device(device: torch.device, dtype: Dtype) -> str:
    """Return the device and the number format for a person: ``NVIDIA H100, bfloat16``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}, {dtype}"


def choose_batch_size(device: torch.device) -> int:
    """Return how many clips in a batch fill the device."""
    return GPU_BATCH_SIZE if device.type == "cuda" else CPU_BATCH_SIZE
