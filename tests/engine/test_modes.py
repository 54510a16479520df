"""How torch computes for the caller, so it computes in threads and fresh interpreters: without gradients, say."""

from __future__ import annotations

import sys
import threading
import types
from typing import Any

import pytest

from amorsize import pimap, pmap
from amorsize.engine import modes
from amorsize.engine.spawn import settings

OTHER_MODES = (False, "float64", True, True, "high", True, "float16", True, "bfloat16")


class Torch(types.ModuleType):
    """What of torch is asked here; it keeps gradients and autocast for each thread, and all else for the process."""

    def __init__(self) -> None:
        super().__init__("torch")
        self.float16, self.bfloat16, self.float32, self.float64 = (
            f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64")
        )
        self._process: dict[str, Any] = {
            "dtype": self.float32,
            "is deterministic": (False, False),
            "precision": "highest",
        }
        self._thread = threading.local()

    def is_grad_enabled(self) -> bool:
        return getattr(self._thread, "has_gradients", True)

    def set_grad_enabled(self, mode: bool) -> None:
        self._thread.has_gradients = mode

    def get_default_dtype(self) -> object:
        return self._process["dtype"]

    def set_default_dtype(self, dtype: object) -> None:
        self._process["dtype"] = dtype

    def are_deterministic_algorithms_enabled(self) -> bool:
        return bool(self._process["is deterministic"][0])

    def is_deterministic_algorithms_warn_only_enabled(self) -> bool:
        return bool(self._process["is deterministic"][1])

    def use_deterministic_algorithms(self, mode: bool, *, warn_only: bool) -> None:
        self._process["is deterministic"] = mode, warn_only

    def get_float32_matmul_precision(self) -> str:
        return str(self._process["precision"])

    def set_float32_matmul_precision(self, precision: str) -> None:
        self._process["precision"] = precision

    def is_autocast_enabled(self, device: str) -> bool:
        return bool(self._thread.__dict__.get(device, False))

    def set_autocast_enabled(self, device: str, enabled: bool) -> None:
        self._thread.__dict__[device] = enabled

    def get_autocast_dtype(self, device: str) -> object:
        by_itself = self.bfloat16 if device == "cpu" else self.float16
        return self._thread.__dict__.get(f"dtype for {device}", by_itself)

    def set_autocast_dtype(self, device: str, dtype: object) -> None:
        self._thread.__dict__[f"dtype for {device}"] = dtype


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Torch:
    found = Torch()
    monkeypatch.setitem(sys.modules, "torch", found)
    return found


def now(_: int) -> Any:  # Any: as `modes.here`
    return modes.here()


@pytest.mark.parametrize("run", [pmap, pimap])
def test_threads_compute_as_the_thread_that_calls(run: Any, torch: Torch) -> None:
    for wanted in (OTHER_MODES, modes.NEW_MODES):  # by then, threads rest that have computed otherwise
        modes.set_modes(torch, wanted)
        assert list(run(now, range(30), backend="thread", n_jobs=2)) == [wanted] * 30


def test_a_fresh_interpreter_computes_as_its_caller(torch: Torch, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = settings.here()
    modes.set_modes(torch, OTHER_MODES)
    told = settings.here()
    assert modes.NEW_MODES not in usual
    assert OTHER_MODES in told
    fresh = Torch()
    monkeypatch.setitem(sys.modules, "torch", fresh)
    for described, wanted in ((told, OTHER_MODES), (usual, modes.NEW_MODES)):
        settings.take_over(described)
        assert modes.modes_of(fresh) == wanted


def test_nothing_is_asked_of_a_torch_that_is_still_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert modes.here() is None
    assert pmap(now, range(30), backend="thread", n_jobs=2) == [None] * 30
