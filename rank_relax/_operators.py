"""What rules for every operator need to know of it, as the library declares it.

Each is one struct of csrc/torch/operators; csrc/torch/declaration/operator.h says what it tells.
"""

import torch

# Every operator, and which of its arguments is the tensor that holds the lists.
OPERATORS: dict[str, int] = {}
# Those whose second argument may also be one for all lists, and its dimensions then: q [L], k [].
SHARED: dict[str, int] = {}
# Those with a form by tensor operators that every backend has, csrc/torch/any_device.
BY_TENSOR_OPERATORS: set[str] = set()


def register() -> None:
    """Asks the library once, as a compiled graph cannot."""
    declarations = torch.ops.rank_relax._declarations.default()
    for name, lists, shared_dims, elsewhere in zip(*declarations, strict=True):
        OPERATORS[name] = lists
        if shared_dims >= 0:
            SHARED[name] = shared_dims
        if elsewhere == "tensor operators":
            BY_TENSOR_OPERATORS.add(name)


def overload(name: str) -> torch._ops.OpOverload:
    """The operator's only one."""
    operator: torch._ops.OpOverload = getattr(torch.ops.rank_relax, name).default
    return operator
