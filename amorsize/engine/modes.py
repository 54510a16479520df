"""How torch computes: what it keeps for each thread (whether gradients are wanted, with which precision it multiplies
by itself), so that threads of ours would lack it, and what it keeps for the process, which fresh interpreters lack."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Modes: TypeAlias = tuple[Any, ...]

LATEST = "get_autocast_dtype"
"""Of what is asked for here, the function that torch has got last (2.4): of an older one nothing is taken over."""

DEVICES = "cpu", "cuda"
NEW_MODES = (True, "float32", False, False, "highest", False, "bfloat16", False, "float16")


def here() -> Modes | None:
    """Return how torch computes in this thread; None where it is not loaded."""
    torch = sys.modules.get("torch")
    return modes_of(torch) if hasattr(torch, LATEST) else None


def modes_of(torch: Any) -> Modes:
    """Return how torch computes in this thread; 3 us."""
    by_itself = [(torch.is_autocast_enabled(device), _name(torch.get_autocast_dtype(device))) for device in DEVICES]
    return (
        torch.is_grad_enabled(),
        _name(torch.get_default_dtype()),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_float32_matmul_precision(),
        *[fact for device in by_itself for fact in device],
    )


def set_modes(torch: Any, wanted: Modes) -> None:
    """Have torch compute so in this thread."""
    has_gradients, dtype, is_deterministic, only_warns, precision, *by_itself = wanted
    torch.set_grad_enabled(has_gradients)
    if dtype != _name(torch.get_default_dtype()):
        torch.set_default_dtype(getattr(torch, dtype))
    torch.use_deterministic_algorithms(is_deterministic, warn_only=only_warns)
    torch.set_float32_matmul_precision(precision)
    for device, is_on, kind in zip(DEVICES, by_itself[::2], by_itself[1::2], strict=True):
        torch.set_autocast_enabled(device, is_on)
        torch.set_autocast_dtype(device, getattr(torch, kind))


def take_over(wanted: Modes | None) -> None:
    """Have torch compute in this thread as it does where that was asked; do nothing where it was not loaded there."""
    if wanted is not None and wanted != here():
        set_modes(sys.modules["torch"], wanted)


def _name(dtype: object) -> str:
    return str(dtype).rpartition(".")[2]
