"""The options that all ranking losses take."""

import numbers

import torch


def check_k(function: str, k: object) -> None:
    """Raises for what is neither None nor a positive int."""
    if k is None:
        return
    if isinstance(k, bool) or not isinstance(k, (numbers.Integral, torch.SymInt)):
        raise TypeError(f"{function}: k must be an int or None, got {k!r}")
    if k < 1:
        raise ValueError(f"{function}: k must be at least 1, got {k}")
