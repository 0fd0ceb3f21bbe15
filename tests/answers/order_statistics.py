"""What the tests of sorted values, quantiles and top-k masks start from."""

from collections.abc import Callable

import pytest
import torch
from operators import METHODS
from torch import Tensor

SMOOTH = pytest.mark.parametrize("method", METHODS)
FLOATS = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
HALVES = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
# Rounding of float64 in values of order 1.
TINY = 1e-13


def gradient_of(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf), leaf)
    return gradient


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
