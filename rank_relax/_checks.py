"""What is checked in Python: what the operators could not even be asked about."""

from torch import Tensor

from rank_relax._strength import DTYPES


def check_tensor(function: str, name: str, value: object) -> None:
    """Raises the TypeError for an argument that is not a tensor at all."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{function}: {name} must be a torch.Tensor, got {type(value).__name__}; "
            f"convert it with torch.as_tensor({name})"
        )


def check_scores(function: str, name: str, value: object) -> None:
    """Raises the operators' errors for scores, where they would call them by another name."""
    check_tensor(function, name, value)
    assert isinstance(value, Tensor)
    if value.dtype not in DTYPES:
        raise TypeError(
            f"{function}: {name} must be float64, float32, bfloat16 or float16, got {value.dtype}; "
            f"convert it, with {name}.float() for example"
        )
    if value.dim() == 0:
        raise ValueError(
            f"{function}: {name} must have at least one dimension, the last of which is ranked, "
            "got a 0-dim tensor"
        )


def check_mask(function: str, mask: object) -> None:
    """As check_tensor, for an argument that may be absent."""
    if mask is not None:
        check_tensor(function, "mask", mask)


def check_same_shape(
    function: str, other_name: str, other: Tensor, name: str, values: Tensor
) -> None:
    """Raises the operators' ValueError, for shapes that they would see rearranged."""
    if other.shape != values.shape:
        raise ValueError(
            f"{function}: {other_name} must have the shape of {name}, {list(values.shape)}, got "
            f"{list(other.shape)}; use expand_as to repeat one over a batch"
        )


def check_choice(function: str, name: str, value: object, choices: tuple[str | None, ...]) -> None:
    """Raises the ValueError for an option that is none of its choices."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{function}: {name} must be one of {listed}, got {value!r}")


def check_method(function: str, method: object) -> None:
    """Raises the TypeError for a method that is no string; the operators know the names."""
    if not isinstance(method, str):
        raise TypeError(f"{function}: method must be a string, got {method!r}")
