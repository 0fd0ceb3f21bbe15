"""How a result is compared with what an oracle says."""

import math

import torch
from torch import Tensor


def assert_within(actual: Tensor, expected: Tensor, bound: Tensor | float) -> None:
    """|actual - expected| <= bound in float64, and NaN at the same places."""
    assert actual.shape == expected.shape
    actual, expected = actual.detach().double(), expected.detach().double()
    assert torch.equal(actual.isnan(), expected.isnan())
    if actual.numel() == 0 or actual.isnan().all():
        return
    error = (actual - expected).abs().nan_to_num(0.0, posinf=math.inf)
    excess = error - torch.as_tensor(bound, dtype=torch.float64, device=error.device).detach()
    assert (excess <= 0).all(), f"largest error {error.max():.3g}, bound {bound}"
