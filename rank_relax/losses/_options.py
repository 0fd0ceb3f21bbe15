"""The options that all ranking losses take."""

from typing import Literal

from torch import Tensor

from rank_relax._checks import check_choice
from rank_relax._strength import Strength, checked_strength

Reduction = Literal["mean", "sum", "none"]


def checked_temperature(function: str, temperature: Strength) -> Strength:
    """The strength 1 / temperature; raises for a temperature that is none."""
    checked = checked_strength(
        function, temperature, "temperature", "smaller is closer to the hard ranks"
    )
    if isinstance(checked, Tensor):
        return checked.reciprocal()
    return checked_strength(function, 1 / checked, "1 / temperature")


def check_reduction(function: str, reduction: object) -> None:
    """Raises for a reduction that there is not."""
    check_choice(function, "reduction", reduction, ("mean", "sum", "none"))


def check_k(function: str, k: object) -> None:
    """Raises for what is neither None nor a positive int."""
    if k is not None and (isinstance(k, bool) or not isinstance(k, int)):
        raise TypeError(f"{function}: k must be an int or None, got {k!r}")
    if k is not None and k < 1:
        raise ValueError(f"{function}: k must be at least 1, got {k}")
