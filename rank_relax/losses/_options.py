"""The options that all ranking losses take."""

import numbers
from typing import Any

import torch


def check_k(function: str, k: object) -> None:
    """Raises for what is neither None nor a positive int."""
    if k is not None:
        check_places(function, k, "an int or None")


def check_places(function: str, k: object, kinds: str = "an int") -> None:
    """Raises for what is no positive int, nor a tuple of some where that is one of the kinds."""
    several = isinstance(k, (tuple, list)) and "tuple" in kinds
    places: list[Any] = list(k) if several else [k]  # type: ignore[call-overload]
    if not places or any(
        isinstance(place, bool) or not isinstance(place, (numbers.Integral, torch.SymInt))
        for place in places
    ):
        raise TypeError(f"{function}: k must be {kinds}, got {k!r}")
    if any(place < 1 for place in places):
        raise ValueError(f"{function}: k must be at least 1, got {k!r}")
