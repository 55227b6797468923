"""Which arithmetic `train.precision` stands for on a device, and what it costs where it is emulated."""

import sys
import time

import torch

from ganlib.core.memory import keep_freed_memory
from ganlib.core.schema import Shared
from ganlib.core.seeding import pin_arithmetic, resolve_device


def precision_of(precision: str, device: torch.device) -> str:
    """Resolve `train.precision`: `auto` is bf16 where the hardware computes in it (AVX512-BF16, Ampere and later)."""
    return ("bf16" if has_bf16(device) else "fp32") if precision == "auto" else precision


def has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def prepared_device(params: Shared) -> torch.device:
    """Fix the arithmetic that params ask for, as stages do that compute with what train has made; return the device."""
    pin_arithmetic(params.threads)
    keep_freed_memory()
    device = resolve_device(params.device)
    prepare_arithmetic(params.train.precision, device)
    return device


def prepare_arithmetic(precision: str, device: torch.device, key: str = "train.precision") -> None:
    """Let a GPU's float32 be TF32 from here on, penalties included; warn on stderr of bf16 that the device emulates.

    `key` is the parameter that the precision was asked for with.
    """
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = "tf32"  # pyright: ignore[reportAttributeAccessIssue]
    wake_expm1()
    if precision == "bf16" and not has_bf16(device):
        print(emulation_warning(key, bf16_slowdown(device)), file=sys.stderr)


def wake_expm1() -> None:
    """Call another function of Sleef: until then a CPU takes thirty times as long for ELU in float32 (torch 2.14)."""
    torch.tanh(torch.zeros(1, dtype=torch.bfloat16))


def emulation_warning(key: str, slowdown: float) -> str:
    return (
        f"WARNING: {key} = bf16 is emulated here: a matrix product takes {slowdown:.1f} times as long as in float32; "
        f"set {key} to fp32"
    )


def bf16_slowdown(device: torch.device) -> float:
    """Return how many times as long as in float32 a matrix product takes in bfloat16: some milliseconds of work."""

    def shortest(dtype: torch.dtype) -> float:
        a = torch.ones(512, 512, device=device, dtype=dtype)
        times: list[float] = []
        for _ in range(5):
            start = time.perf_counter()
            (a @ a)[0, 0].item()  # waits for the device
            times.append(time.perf_counter() - start)
        return min(times)

    return shortest(torch.bfloat16) / shortest(torch.float32)
