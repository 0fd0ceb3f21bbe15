"""The options that all ranking losses take."""

import numbers

import torch
from torch import Tensor

from rank_relax._strength import Strength, checked_strength, widest_dtype


def checked_temperature(function: str, temperature: Strength) -> Strength:
    """The strength 1 / temperature, NaN for a tensor of no temperature; raises for others."""
    meaning = "smaller is closer to the hard ranks"
    checked = checked_strength(function, temperature, "temperature", meaning)
    if not isinstance(checked, Tensor):
        return checked_strength(function, 1 / checked, "1 / temperature", meaning)
    checked = checked.to(widest_dtype(checked.device))
    return torch.where(checked > 0, checked.reciprocal(), torch.nan)


def check_k(function: str, k: object) -> None:
    """Raises for what is neither None nor a positive int."""
    if k is None:
        return
    if isinstance(k, bool) or not isinstance(k, (numbers.Integral, torch.SymInt)):
        raise TypeError(f"{function}: k must be an int or None, got {k!r}")
    if k < 1:
        raise ValueError(f"{function}: k must be at least 1, got {k}")
