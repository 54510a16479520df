"""What sending would lose without a word is not sent."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

from amorsize.advice.sending import prices

if TYPE_CHECKING:
    from collections.abc import Callable


class Tensor:
    """What of torch's a pickle loses: the way back to what it was computed from."""

    grad_fn: object = None

    def __reduce__(self) -> tuple[Callable[[], Tensor], tuple[()]]:
        return _rebuild_tensor, ()


def _rebuild_tensor() -> Tensor:
    return Tensor()


def computed() -> Tensor:
    tensor = Tensor()
    tensor.grad_fn = object()
    return tensor


@pytest.fixture(autouse=True)
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = types.ModuleType("torch")
    torch.__dict__["Tensor"] = Tensor
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.parametrize("wrap", [lambda tensor: tensor, lambda tensor: {"loss": (1, tensor)}], ids=["bare", "within"])
def test_results_with_gradients_of_others_are_not_sent(wrap: Callable[[Tensor], object]) -> None:
    fields, refusal = prices([wrap(computed())], None, 0.0)
    assert not fields
    assert "gradients" in (refusal or "")


@pytest.mark.parametrize("result", [Tensor(), "_rebuild_tensor", (1, [Tensor()])], ids=["leaf", "text", "within"])
def test_other_results_are_sent(result: object) -> None:
    fields, refusal = prices([result], None, 0.0)
    assert fields["result_bytes"]
    assert refusal is None
