"""Soft ranks and the loss in terms of standard operators, for ``torch.onnx.export``.

Nothing imports this module but you, and it needs neither onnx nor onnxscript, which torch's
exporter does. Hard ranks, and soft ranks and Spearman's loss with a smooth CDF, become sums over
all pairs, with O(n²) memory for a list of n items whose length is dynamic. Sorts, quantiles and
top-k masks have no ONNX form yet.
"""

import math
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from rank_relax import torchsort
from rank_relax._integers import is_integer
from rank_relax._operators import BY_TENSOR_OPERATORS, OPERATORS, overload

# A backend that has only what the library has for every backend: the form by tensor operators.
_ANY_BACKEND = "Lazy"


def decompositions() -> dict[torch._ops.OperatorBase, Callable[..., Any]]:
    """The table for ``ExportedProgram.run_decompositions`` after which ONNX knows our ranks.

    It is torch's own with hard ranks added, and soft ranks and Spearman's loss of a smooth CDF, of
    targets of any dtype, ranked hard or softly.

    Returns:
        A new table, from operators to functions that compute the same by operators of torch.

    Raises:
        NotImplementedError: when a program is decomposed that uses ``"l2"`` or ``"kl"``, or soft
            sorts, quantiles or top-k masks, which have no ONNX form yet.

    References:
        https://docs.pytorch.org/docs/stable/export.html, "run_decompositions".

    Example:
        >>> import torch, rank_relax, rank_relax.onnx
        >>> program = torch.export.export(rank_relax.SoftRank(2.0), (torch.randn(4, 10),))
        >>> program = program.run_decompositions(rank_relax.onnx.decompositions())
        >>> any("rank_relax" in str(node.target) for node in program.graph.nodes)
        False
    """
    table: dict[torch._ops.OperatorBase, Callable[..., Any]] = {
        **torch.export.default_decompositions()
    }
    for name in OPERATORS:
        if torch._C._dispatch_has_kernel_for_dispatch_key(
            f"rank_relax::{name}", "CompositeExplicitAutograd"
        ):
            table[overload(name)] = _by_standard_operators(overload(name))
    table[torch.ops.rank_relax.hard_rank.default] = _hard_rank
    table[torch.ops.rank_relax._centered_hard_rank.default] = _centered_hard_rank
    table[torch.ops.aten.erf.default] = _erf
    table[torch.ops.aten.sort.stable] = _sort
    return table


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The ``custom_translation_table`` for ``torch.onnx.export`` that keeps float64 exact.

    The exporter takes a Python number through float32 on its way into a float64 model, which leaves
    seven digits of a strength. Models of lower precision don't need this.

    Returns:
        A new table, from operators of torch to functions of onnxscript.

    Raises:
        ImportError: if onnxscript is not installed.

    References:
        https://docs.pytorch.org/docs/stable/onnx_export.html, "custom_translation_table".

    Example:
        >>> import torch, rank_relax.onnx
        >>> rank_relax.onnx.translations().keys() == {torch.ops.aten.scalar_tensor.default}
        True
    """
    try:
        import onnx_ir
        from onnxscript import opset18
    except ImportError as error:
        raise ImportError(
            "rank_relax.onnx.translations: onnxscript, with which torch exports to ONNX, is not "
            "installed: run `pip install onnxscript`"
        ) from error

    def scalar_tensor(
        s: float,
        dtype: int = 1,  # FLOAT
        layout: str = "",
        device: str = "",
        pin_memory: bool = False,
    ) -> Any:
        if isinstance(s, int | float):
            exact: Any = onnx_ir.tensor(s, dtype=onnx_ir.DataType(dtype))
            return opset18.Constant(value=exact)
        return opset18.Cast(s, to=dtype)

    return {torch.ops.aten.scalar_tensor.default: scalar_tensor}


def _erf(x: Tensor) -> Any:
    """Of float64 by sines, to a rounding or two: onnxruntime has no Erf for it on the CPU.

    The periodic sum of erf with period 2π/h is a Fourier series in which each term is of one sign
    at 0, so that nothing cancels there, and whose next period is erfc(π/h - 6) < 1e-16 away:
    erf(x) = (2/π) (h x + Σ_k e^(-k²h²) sin(2khx)/k) for |x| <= 6.
    """
    if x.dtype != torch.float64:
        return NotImplemented
    h = math.pi / 12
    near = x.clamp(-6, 6)
    terms = h * near
    for k in range(1, 24):
        terms = terms + torch.sin(near * (2 * k * h)) * (math.exp(-((k * h) ** 2)) / k)
    return terms * (2 / math.pi)


def _sort(
    x: Tensor, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> tuple[Tensor, Tensor]:
    """By the operator that the exporter knows, which is stable in ONNX."""
    return torch.ops.aten.sort.default(x, dim, descending)  # type: ignore[no-any-return]


def _hard_rank(
    input: Tensor,
    descending: bool = False,
    normalize: bool = True,
    mask: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    if dtype is None:
        dtype = torch.get_default_dtype() if is_integer(input.dtype) else input.dtype
    kept, counted = _kept_and_counted(input, mask)
    others = counted.sum(-1, keepdim=True, dtype=torch.int64) - 1
    excess = _smaller_less_larger(input, counted)
    twice = others - excess if descending else others + excess
    return _halved(twice, others.clamp(min=1) if normalize else None, kept, counted, dtype)


def _centered_hard_rank(input: Tensor, mask: Tensor | None, dtype: torch.dtype) -> Tensor:
    kept, counted = _kept_and_counted(input, mask)
    return _halved(_smaller_less_larger(input, counted), None, kept, counted, dtype)


def _kept_and_counted(input: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """What is not masked, and what of it is not NaN."""
    kept = torch.ones_like(input, dtype=torch.bool) if mask is None else mask
    return kept, kept if is_integer(input.dtype) else kept & ~input.isnan()


def _smaller_less_larger(input: Tensor, counted: Tensor) -> Tensor:
    """#{j : x_j < x_i} - #{j : x_j > x_i}, which is twice a centred rank, ties averaged."""
    items = _ordered(input)
    mine, theirs = items.unsqueeze(-1), items.unsqueeze(-2)
    counts = counted.unsqueeze(-2)
    smaller = ((theirs < mine) & counts).sum(-1, dtype=torch.int64)
    return smaller - ((theirs > mine) & counts).sum(-1, dtype=torch.int64)


def _ordered(input: Tensor) -> Tensor:
    """The items in a dtype that onnxruntime compares, in the same order, exactly."""
    if not is_integer(input.dtype):
        return input if input.dtype == torch.float64 else input.float()
    items = input.to(torch.int64)
    return items ^ torch.iinfo(torch.int64).min if input.dtype == torch.uint64 else items


def _halved(
    twice: Tensor, divisor: Tensor | None, kept: Tensor, counted: Tensor, dtype: torch.dtype
) -> Tensor:
    """Ranks, over `divisor`: NaN where an item is, 0 where one is masked."""
    computed = torch.promote_types(dtype, torch.float32)
    ranks = twice.to(computed) / 2 if divisor is None else twice.to(computed) / (2 * divisor)
    return ranks.masked_fill(~counted, math.nan).masked_fill(~kept, 0).to(dtype)


def _by_standard_operators(operator: torch._ops.OpOverload) -> Callable[..., Any]:
    """The operator's kernel for every backend as a function that tracing sees through."""
    parameters = operator._schema.arguments
    positions = {parameter.name: place for place, parameter in enumerate(parameters)}
    of_function = "function" in positions  # in terms of the function's operator
    kernel = torch.library.get_kernel(operator, "CPU" if of_function else _ANY_BACKEND)
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)

    def decomposed(*given: Any, **named: Any) -> Any:
        arguments = [
            given[place] if place < len(given) else named.get(name, parameters[place].default_value)
            for name, place in positions.items()
        ]
        method = arguments[positions["method"]]
        if method in torchsort.REGULARIZATIONS:
            _refuse(f"method {method!r} has")
        if "offsets" in positions and arguments[positions["offsets"]] is not None:
            _refuse("lists with offsets have")
        name = arguments[positions["function"]] if of_function else operator._opname
        name = str(name).partition(" ")[0]
        if BY_TENSOR_OPERATORS.isdisjoint((name, f"_{name}_forward")):
            _refuse("soft sorts, quantiles and top-k masks have")
        return kernel.call_boxed(keys, *arguments)

    return decomposed


def _refuse(what_has: str) -> NoReturn:
    raise NotImplementedError(
        f"rank_relax.onnx.decompositions: {what_has} no form in standard operators; hard_rank, and "
        "soft_rank and spearman_loss but by projection, have one: leave the rest out of "
        "the model"
    )
