"""Sharding strategies of DTensor: lists are ranked where they are, each of them whole."""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from rank_relax._after_import import after_import
from rank_relax._operators import OPERATORS, SHARED, overload

OptionalTensor = TypeVar("OptionalTensor", Tensor, Tensor | None)


def register() -> None:
    """Registers the strategy of every operator once there are DTensors.

    Not before: torch.distributed.tensor takes a good part of a second to import, and is not there
    in every build of torch.
    """
    after_import("torch.distributed.tensor", _register)


@cache
def _register() -> None:
    try:
        from torch.distributed.tensor.experimental import register_sharding

        for name, ranked in OPERATORS.items():
            strategy = _strategy(overload(name), ranked, SHARED.get(name))
            register_sharding(overload(name))(strategy)
    except Exception as error:
        # It is torch's own module that is being imported, by someone who may not need us.
        warnings.warn(
            f"rank_relax's operators take no DTensors with torch {torch.__version__}: {error!r}",
            stacklevel=2,
        )


# The placements of an operator's outputs, and of its arguments, along one dimension of the mesh.
Sharding = tuple[list[Any], list[Any]]


def _strategy(
    operator: torch._ops.OpOverload, ranked: int, shared: int | None
) -> Callable[..., Sequence[Sharding]]:
    """Operators keep the batch shape, which stands in front of every tensor that they take.

    So along a dimension of the mesh either all tensors are whole, or all are sharded alike in a
    dimension of the batch. DTensor turns what is placed otherwise, sharded within the lists or a
    partial sum, into the one of these that costs least, before the operator runs.
    """
    from torch.distributed.tensor import Replicate, Shard

    outputs = len(operator._schema.returns)

    def strategy(*arguments: Any) -> Sequence[Sharding]:
        def placed(placement: Any) -> Sharding:
            inputs: list[Any] = []
            for index, argument in enumerate(arguments):
                one_for_all = shared is not None and index == 1 and argument.ndim == shared
                one_for_all = one_for_all or getattr(argument, "ndim", 1) == 0
                its_placement = Replicate() if one_for_all else placement
                items = argument if isinstance(argument, list | tuple) else (argument,)
                inputs.extend(its_placement if hasattr(item, "ndim") else None for item in items)
            return [placement] * outputs, inputs

        batch = arguments[ranked].ndim - 1
        # Those that are there too: the strided shards of a mesh of several dimensions.
        present = [p for p in arguments[ranked].placements if getattr(p, "dim", batch) < batch]
        alike = dict.fromkeys([Replicate(), *map(Shard, range(batch)), *present])
        return [placed(placement) for placement in alike]

    return strategy


def whole_lists(tensor: OptionalTensor) -> OptionalTensor:
    """The tensor; a DTensor with its last dimension whole on every device, and its sums taken.

    An operator would see to it too, but the functions look at their lists more than once.
    """
    if tensor is None or type(tensor) is Tensor:  # quickly, as it is asked of every call
        return tensor
    placements = getattr(tensor, "placements", None)
    if placements is None:
        return tensor
    from torch.distributed.tensor import Replicate

    last = tensor.dim() - 1
    whole = tuple(
        Replicate() if p.is_partial() or getattr(p, "dim", None) == last else p for p in placements
    )
    if whole == placements:
        return tensor
    redistributed: OptionalTensor = cast(Any, tensor).redistribute(placements=whole)
    return redistributed


def beside(scores: Tensor, value: Tensor) -> Tensor:
    """The value, which all lists share, replicated over the devices that hold the scores."""
    mesh = getattr(scores, "device_mesh", None)
    if mesh is None or hasattr(value, "device_mesh"):
        return value
    from torch.distributed.tensor import DTensor, Replicate

    return DTensor.from_local(value, mesh, [Replicate()] * mesh.ndim, run_check=False)
