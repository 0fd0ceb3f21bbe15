"""The options that ranking losses take."""

import numbers


def check_k(function: str, k: object) -> None:
    """Raises for what is neither None nor a positive int."""
    if k is not None:
        check_place(function, k, "an int or None")


def check_place(function: str, k: object, kinds: str = "an int") -> None:
    """Raises for what is no positive int."""
    if isinstance(k, bool) or not isinstance(k, numbers.Integral):
        raise TypeError(f"{function}: k must be {kinds}, got {k!r}")
    if k < 1:
        raise ValueError(f"{function}: k must be at least 1, got {k!r}")
