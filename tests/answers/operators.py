"""Every operator of the library as one list, so that each of them is asked the same questions.

An entry says which tensors are differentiable, how the dispatcher is called, what the float64
oracle says, and how far the result and its gradients may be from it. A new operator is a new entry.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import oracle
import torch
from torch import Tensor

import rank_relax  # noqa: F401  (loads the operators)

METHODS = ("sigmoid", "gaussian", "laplace", "cauchy")
SPLIT_METHODS = ("sigmoid", "gaussian")  # of lists over several processes
ALL_METHODS = (*METHODS, *oracle.PROJECTIONS)
SHAPES = ((5,), (3, 7), (2, 3, 9), (2, 120), (3, 1), (3, 2), (2, 0), (0, 4))

# A rank in [0, 1]: |error| <= 5e-7 in float32 (rounding is 6e-8) and 1e-13 in float64.
RANK_ERROR = {torch.float64: 1e-13, torch.float32: 5e-7}
# A derivative: |error| <= this, times the largest sum that the formula could give (see below).
DERIVATIVE_ERROR = {torch.float64: 1e-13, torch.float32: 1e-6}
# A sorted value: roundings of it, relative to the largest value. By an inverse CDF also an error of
# its place among the others, in units of 1/alpha; seen are 9.98e-8 and 1e-14.
SORT_ERROR = {torch.float64: 2e-14, torch.float32: 2e-7}
PLACE_ERROR = {torch.float64: 4e-14, torch.float32: 1e-7}
# A share of a top-k mask, at most 1, beside the error of its threshold: F in float64, rounded.
SHARE_ERROR = {torch.float64: 1e-14, torch.float32: 6e-8}
# Second derivatives of the loss, relative to one more than their largest element: computed in
# float64 from inputs of either dtype, so a rounding or a few to float32 (6e-8) is all there is.
COMPOSITE_ERROR = {torch.float64: 1e-12, torch.float32: 5e-7}


def devices() -> list[str]:
    """The CPU, and CUDA where there is one and the library has kernels for it."""
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key("rank_relax::soft_rank", "CUDA")
    return ["cpu", "cuda"] if has_kernel and torch.cuda.is_available() else ["cpu"]


class Setting(NamedTuple):
    """What an operator is given beside its differentiable tensors."""

    regularization_strength: float = 1.0
    method: str = "sigmoid"
    mask: Tensor | None = None


Tensors = tuple[Tensor, ...]
Bound = Tensor | float


@dataclass(frozen=True)
class Operator:
    """One operator, seen as a function of its differentiable tensors."""

    name: str  # the dispatcher's name, with [k] for a number of directions
    tensors: tuple[str, ...]  # the differentiable tensors, in the order that the oracle takes
    arguments: Callable[[Tensors, Setting], tuple[Any, ...]]  # what the dispatcher is called with
    oracle: Callable[..., Tensor]
    error_bound: Callable[[Tensors, Setting, torch.dtype], Bound]
    vjp_error_bound: Callable[[Tensor, Tensors, Setting, torch.dtype], Sequence[Bound]]
    methods: tuple[str, ...] = METHODS  # that it is asked for: whatever another says is the same
    flat_in: tuple[str, ...] = ()  # the tensors whose gradient is zero but for jumps
    is_another_name: bool = False  # of an operator that is asked for its numbers
    kernels: int = 1  # that a call makes, those that find its arguments included
    fewest_items: int = 0  # of a list; one with fewer is an error
    is_nan_of_nothing: bool = False  # where no item of a list counts
    gives_double: bool = False  # whatever the dtype of the lists
    is_rounded_double: bool = False  # of which float32's result is the rounded one, too

    @property
    def is_public(self) -> bool:
        return not self.name.startswith("_")

    @property
    def overload(self) -> Any:
        return getattr(torch.ops.rank_relax, self.name.partition("[")[0]).default

    def __call__(self, tensors: Tensors, setting: Setting) -> Tensor:
        """The differentiable output."""
        outputs = self.overload(*self.arguments(tensors, setting))
        output: Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
        return output

    def expected(self, tensors: Tensors, setting: Setting) -> Tensor:
        return self.oracle(*tensors, *setting)

    def example(
        self,
        shape: Sequence[int],
        dtype: torch.dtype = torch.float64,
        device: str = "cpu",
        *,
        requires_grad: bool = False,
    ) -> Tensors:
        """Random tensors for rows of this shape."""
        shapes = {
            "loss_grad_output": shape[:-1],
            "grad_points": (*shape[:-1], len(FRACTIONS)),
            "grad_quantiles": (*shape[:-1], len(Q)),
            "points": (*shape[:-1], POINTS),
            "weights": (*shape[:-1], SETS, shape[-1]),
        }
        tensors = tuple(
            torch.randn(tuple(shapes.get(name, shape)), dtype=torch.float64, device=device)
            for name in self.tensors
        )
        return tuple(t.requires_grad_(requires_grad) for t in self.converted(tensors, dtype))

    def converted(self, tensors: Tensors, dtype: torch.dtype) -> Tensors:
        """Detached, for lists of this dtype."""
        return tuple(
            tensor.detach().to(torch.float64 if name == "grad_points" else dtype)
            for name, tensor in zip(self.tensors, tensors, strict=True)
        )

    def random_mask(self, shape: Sequence[int], device: str = "cpu") -> Tensor:
        """That of the function; no list whole, where there would be no result."""
        mask = random_mask(shape, device)
        return mask | ~mask.any(-1, keepdim=True) if self.is_nan_of_nothing else mask

    def those_it_takes(self, shapes: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The shapes of lists with enough items: other tests ask for the error of the rest."""
        return [shape for shape in shapes if shape[-1] >= self.fewest_items]

    def settings(self, shape: Sequence[int], device: str = "cpu") -> list["Setting"]:
        """Those of the function, with such masks."""
        return settings(shape, device, self.methods, self.random_mask)

    def result_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float64 if self.gives_double else dtype


def random_mask(shape: Sequence[int], device: str = "cpu") -> Tensor:
    """Every third item masked, from a random one on; of three rows or more, the first one whole.

    So a row keeps at least two items of three, three of four and so on: enough to rank.
    """
    mask = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    if shape[-1] > 2:
        mask[..., int(torch.randint(shape[-1], ())) % 3 :: 3] = False
    if mask.numel() and mask.dim() > 1 and mask.flatten(0, -2).shape[0] > 2:
        mask.flatten(0, -2)[0] = False
    return mask


# The Cauchy CDF has no form of its own for a list with a mask.
MASKED = {"cauchy": (False,)}


def settings(
    shape: Sequence[int],
    device: str = "cpu",
    methods: Sequence[str] = METHODS,
    mask_of: Callable[[Sequence[int], str], Tensor] = random_mask,
) -> list[Setting]:
    """All methods, with and without a mask, at one moderate strength."""
    return [
        Setting(1.5, method, mask_of(shape, device) if masked else None)
        for method in methods
        for masked in MASKED.get(method, (False, True))
    ]


# Error bounds. Each is a number, or a tensor that broadcasts against what it bounds.


def derivative_scale(directions: Sequence[Tensor], input: Tensor, setting: Setting) -> Tensor:
    """``alpha^k/(n-1) 2^(k-1) prod_i max|v_i - mean v_i| max_m S[1]_m``, self term included."""
    seen = oracle.counted_items(input, setting.mask) & input.isfinite()
    scale = oracle.kernel_mass(input, *setting) / oracle.other_items(input, setting.mask) / 2
    for direction in directions:
        v = torch.where(seen, direction.double(), 0.0)
        mean = v.sum(-1, keepdim=True) / seen.sum(-1, keepdim=True).clamp(min=1)
        deviation = torch.where(seen, (v - mean).abs(), 0.0)
        largest = deviation.amax(-1, keepdim=True) if v.size(-1) else deviation
        scale = scale * 2 * setting.regularization_strength * largest
    return scale


def derivative_bound(tensors: Tensors, setting: Setting, dtype: torch.dtype) -> Bound:
    *directions, input = tensors
    if not directions:
        return RANK_ERROR[dtype]
    bound = DERIVATIVE_ERROR[dtype] * derivative_scale(directions, input, setting)
    if setting.method == "kl":  # the oracle's weighted mean of a constant direction is rounded
        sizes = [float(d.nan_to_num().abs().sum()) for d in directions]
        rounding = torch.finfo(torch.float64).eps * math.prod(sizes)
        bound = bound + rounding * setting.regularization_strength ** len(sizes)
    return bound


def derivative_vjp_bound(
    cotangent: Tensor, tensors: Tensors, setting: Setting, dtype: torch.dtype
) -> Sequence[Bound]:
    """The operator is its own vjp: with the cotangent in a direction's place, or as one more."""
    *directions, input = tensors
    replaced = [
        (*directions[:place], cotangent, *directions[place + 1 :], input)
        for place in range(len(directions))
    ]
    calls = [*replaced, (*directions, cotangent, input)]
    return [derivative_bound(call, setting, dtype) for call in calls]


def rank_deviation(input: Tensor, setting: Setting) -> Tensor:
    """The standard deviation of a row's exact ranks; 1 where it is 0 (a constant row is exact)."""
    count = oracle.counted_items(input, setting.mask).sum(-1, keepdim=True).clamp(min=1)
    centred = oracle.soft_rank_derivative([], input, *setting)
    deviation = ((centred**2).sum(-1, keepdim=True) / count).sqrt()
    return torch.where(deviation > 0, deviation, 1.0)


def spearman_bound(tensors: Tensors, setting: Setting, dtype: torch.dtype) -> Bound:
    """A rank error e turns a centred, normalised row by e/std(R) at most; 1 - rho is rounded."""
    predictions, targets = tensors
    turns = 1 / rank_deviation(predictions, setting) + 1 / rank_deviation(targets, setting)
    return RANK_ERROR[dtype] * turns[..., 0] + 4 * torch.finfo(dtype).eps


def rank_gradient_bound(tensors: Tensors, setting: Setting, dtype: torch.dtype) -> Tensor:
    """-(t^ - rho p^)/|p| of unit vectors t^, p^: each turns by e/std(R), and so do rho and |p|."""
    predictions, targets = tensors
    turns = 1 / rank_deviation(predictions, setting) + 1 / rank_deviation(targets, setting)
    norm = oracle.soft_rank_derivative([], predictions, *setting).norm(dim=-1, keepdim=True)
    return 4 * RANK_ERROR[dtype] * turns / torch.where(norm > 0, norm, 1.0)


def spearman_gradient_bound(
    grad_output: Tensor, tensors: Tensors, setting: Setting, dtype: torch.dtype
) -> Bound:
    """That of a first derivative with direction h, whose own error adds."""
    rank_gradient, _ = oracle.spearman_rank_gradients(
        *(tensor.detach() for tensor in tensors), *setting
    )
    exact = derivative_scale([rank_gradient], tensors[0], setting)
    mass = setting.regularization_strength * oracle.kernel_mass(tensors[0], *setting)
    others = oracle.other_items(tensors[0], setting.mask)
    turned = 2 * mass / others * rank_gradient_bound(tensors, setting, dtype)
    return grad_output.double().abs()[..., None] * (DERIVATIVE_ERROR[dtype] * exact + turned)


def spearman_vjp_bound(
    cotangent: Tensor, tensors: Tensors, setting: Setting, dtype: torch.dtype
) -> Sequence[Bound]:
    return [
        spearman_gradient_bound(cotangent, tensors, setting, dtype),
        spearman_gradient_bound(cotangent, tensors[::-1], setting, dtype),
    ]


def spearman_backward_vjp_bound(
    cotangent: Tensor, tensors: Tensors, setting: Setting, dtype: torch.dtype
) -> Sequence[Bound]:
    """Relative to the largest element of each exact gradient."""
    return backward_vjp_bound(oracle.spearman_loss_backward, cotangent, tensors, setting, dtype)


def spearman_hard_backward_vjp_bound(
    cotangent: Tensor, tensors: Tensors, setting: Setting, dtype: torch.dtype
) -> Sequence[Bound]:
    def backward(grad_output: Tensor, predictions: Tensor, *setting: Any) -> Tensor:
        ranks = ranks_at(predictions, setting[-1])
        return oracle.spearman_loss_at_ranks_backward(grad_output, predictions, ranks, *setting)

    return backward_vjp_bound(backward, cotangent, tensors, setting, dtype)


def backward_vjp_bound(
    function: Callable[..., Tensor],
    cotangent: Tensor,
    tensors: Tensors,
    setting: Setting,
    dtype: torch.dtype,
) -> Sequence[Bound]:
    doubles = [tensor.detach().double().requires_grad_() for tensor in tensors]
    backward = function(*doubles, *setting)
    exact = torch.autograd.grad(
        backward, doubles, cotangent.double(), allow_unused=True, materialize_grads=True
    )
    return [
        COMPOSITE_ERROR[dtype] * (float(gradient.nan_to_num(0).abs().max()) + 1)
        if gradient.numel()
        else 0.0
        for gradient in exact
    ]


def rank_gradient_of(predictions: Tensor, targets: Tensor, setting: Setting) -> Tensor:
    """What the forward hands to the backward: a constant to every transform."""
    forward = torch.ops.rank_relax._spearman_loss_forward
    rank_gradient: Tensor = forward(predictions.detach(), targets.detach(), *setting)[1].detach()
    return rank_gradient


def derivative_operator(order: int) -> Operator:
    return Operator(
        name=f"_soft_rank_derivative[{order}]",
        tensors=(*(f"direction {number}" for number in range(order)), "input"),
        arguments=lambda tensors, setting: (list(tensors[:-1]), tensors[-1], *setting),
        oracle=lambda *args: oracle.soft_rank_derivative(args[:order], *args[order:]),
        error_bound=derivative_bound,
        vjp_error_bound=derivative_vjp_bound,
    )


def by_projection(operator: Operator, method: str) -> Operator:
    """The operator with this method, whatever the setting's."""
    return replace(
        operator,
        name=f"{operator.name}[{method}]",
        methods=(method,),
        arguments=lambda tensors, setting: operator.arguments(
            tensors, setting._replace(method=method)
        ),
        oracle=lambda *args: operator.oracle(*args[:-2], method, args[-1]),
        error_bound=lambda tensors, setting, dtype: operator.error_bound(
            tensors, setting._replace(method=method), dtype
        ),
        vjp_error_bound=lambda cotangent, tensors, setting, dtype: operator.vjp_error_bound(
            cotangent, tensors, setting._replace(method=method), dtype
        ),
    )


def largest_finite(values: Tensor) -> Tensor:
    """In magnitude, of each row, as a [*, 1] tensor."""
    finite = torch.where(values.isfinite(), values.detach().double().abs(), 0.0)
    return finite.amax(-1, keepdim=True) if values.size(-1) else finite.sum(-1, keepdim=True)


def sort_product_bound(kind: str, dtype: torch.dtype, *vectors: Tensor) -> Tensor:
    """Weights that add up to 1 take a mean, or share a sum out; times 2 for each more vector."""
    bound = DERIVATIVE_ERROR[dtype] * largest_finite(vectors[0])
    for vector in vectors[1:]:
        bound = bound * 2 * largest_finite(vector)
    return bound * vectors[0].size(-1) if kind == "sum" else bound


def sorting_of(input: Tensor, setting: Setting) -> tuple[Tensor, Tensor]:
    """The permutation and the blocks, as blocks_of."""
    forward = torch.ops.rank_relax._permutahedron_sort_forward
    _, permutation, blocks = forward(input.detach(), *setting)
    return permutation, blocks


def blocks_of(input: Tensor, setting: Setting) -> Tensor:
    """What the forward hands to the derivatives: constant to every transform."""
    forward = torch.ops.rank_relax._permutahedron_rank_forward
    blocks: Tensor = forward(input.detach(), *setting)[1]
    return blocks


SOFT_RANK = Operator(
    name="soft_rank",
    tensors=("input",),
    arguments=lambda tensors, setting: (*tensors, *setting),
    oracle=oracle.soft_rank,
    error_bound=derivative_bound,
    vjp_error_bound=derivative_vjp_bound,
)
SOFT_RANK_BACKWARD = Operator(
    name="soft_rank_backward",
    tensors=("grad_output", "input"),
    arguments=lambda tensors, setting: (*tensors, *setting),
    oracle=oracle.soft_rank_backward,
    error_bound=derivative_bound,
    vjp_error_bound=derivative_vjp_bound,
)
SPEARMAN_LOSS = Operator(
    name="spearman_loss",
    tensors=("predictions", "targets"),
    arguments=lambda tensors, setting: (*tensors, *setting, "soft"),
    oracle=oracle.spearman_loss,
    error_bound=spearman_bound,
    vjp_error_bound=spearman_vjp_bound,
)
SPEARMAN_LOSS_FORWARD = Operator(
    name="_spearman_loss_forward",
    tensors=("predictions", "targets"),
    arguments=lambda tensors, setting: (*tensors, *setting),
    oracle=oracle.spearman_loss,
    error_bound=spearman_bound,
    vjp_error_bound=spearman_vjp_bound,
)
SPEARMAN_LOSS_BACKWARD = Operator(
    name="_spearman_loss_backward",
    tensors=("loss_grad_output", "predictions", "targets"),
    arguments=lambda tensors, setting: (
        *tensors,
        rank_gradient_of(tensors[1], tensors[2], setting),
        *setting,
    ),
    oracle=oracle.spearman_loss_backward,
    error_bound=lambda tensors, setting, dtype: spearman_gradient_bound(
        tensors[0], tensors[1:], setting, dtype
    ),
    vjp_error_bound=spearman_backward_vjp_bound,
    kernels=2,
)


def targets_of(predictions: Tensor) -> Tensor:
    """Integers with ties, the same for every list, to be ranked hard."""
    places = torch.arange(predictions.size(-1), device=predictions.device)
    return (places * 7 % 5).expand(predictions.shape)


def ranks_at(predictions: Tensor, mask: Tensor | None) -> Tensor:
    return oracle.hard_rank(targets_of(predictions), mask)


def hard_rank_bound(predictions: Tensor, setting: Setting, dtype: torch.dtype) -> Bound:
    """As spearman_bound, with exact ranks on one side."""
    turn = 1 / rank_deviation(predictions, setting)
    return RANK_ERROR[dtype] * turn[..., 0] + 4 * torch.finfo(dtype).eps


def hard_gradient_bound(
    grad_output: Tensor, predictions: Tensor, setting: Setting, dtype: torch.dtype
) -> Bound:
    """As spearman_gradient_bound."""
    ranks = ranks_at(predictions, setting.mask)
    sums = oracle.derivative_sums([], predictions.detach(), *setting).requires_grad_()
    loss = oracle.spearman_loss_of_sums(sums, ranks, predictions.detach(), ranks, setting.mask)
    others = oracle.other_items(predictions, setting.mask)
    rank_gradient = others * torch.autograd.grad(loss.sum(), sums)[0]
    exact = derivative_scale([rank_gradient], predictions, setting)
    norm = oracle.soft_rank_derivative([], predictions, *setting).norm(dim=-1, keepdim=True)
    turn = 1 / rank_deviation(predictions, setting) / torch.where(norm > 0, norm, 1.0)
    mass = setting.regularization_strength * oracle.kernel_mass(predictions, *setting)
    turned = 2 * mass / others * 4 * RANK_ERROR[dtype] * turn
    return grad_output.double().abs()[..., None] * (DERIVATIVE_ERROR[dtype] * exact + turned)


def hard_ranks(predictions: Tensor, mask: Tensor | None) -> Tensor:
    dtype = torch.float64 if predictions.dtype == torch.float64 else torch.float32
    centered = torch.ops.rank_relax._centered_hard_rank
    ranks: Tensor = centered(targets_of(predictions), mask, dtype)
    return ranks


def given_ranks(predictions: Tensor, setting: Setting) -> tuple[Tensor, Tensor]:
    """Hard ranks, and what the forward hands to the backward, as rank_gradient_of."""
    ranks = hard_ranks(predictions, setting.mask)
    forward = torch.ops.rank_relax._spearman_loss_at_ranks_forward
    return ranks, forward(predictions.detach(), ranks, *setting)[1].detach()


SPEARMAN_LOSS_AT_RANKS_FORWARD = Operator(
    name="_spearman_loss_at_ranks_forward",
    tensors=("predictions",),
    arguments=lambda tensors, setting: (
        *tensors,
        hard_ranks(tensors[0], setting.mask),
        *setting,
    ),
    oracle=lambda predictions, *setting: oracle.spearman_loss_at_ranks(
        predictions, ranks_at(predictions, setting[-1]), *setting
    ),
    error_bound=lambda tensors, setting, dtype: hard_rank_bound(tensors[0], setting, dtype),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        hard_gradient_bound(cotangent, tensors[0], setting, dtype)
    ],
    kernels=2,
)
SPEARMAN_LOSS_AT_RANKS_BACKWARD = Operator(
    name="_spearman_loss_at_ranks_backward",
    tensors=("loss_grad_output", "predictions"),
    arguments=lambda tensors, setting: (*tensors, *given_ranks(tensors[1], setting), *setting),
    oracle=lambda grad_output, predictions, *setting: oracle.spearman_loss_at_ranks_backward(
        grad_output, predictions, ranks_at(predictions, setting[-1]), *setting
    ),
    error_bound=lambda tensors, setting, dtype: hard_gradient_bound(*tensors, setting, dtype),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: spearman_hard_backward_vjp_bound(
        cotangent, tensors, setting, dtype
    ),
    kernels=3,
)

PERMUTAHEDRON_FORWARD = replace(SOFT_RANK, name="_permutahedron_rank_forward")
PERMUTAHEDRON_DERIVATIVES = tuple(
    replace(
        derivative_operator(order),
        name=f"_permutahedron_rank_derivative[{order}]",
        kernels=2,
        arguments=lambda tensors, setting: (
            list(tensors[:-1]),
            tensors[-1],
            blocks_of(tensors[-1], setting),
            *setting,
        ),
    )
    for order in (1, 2)
)

PROJECTED_SORT = Operator(
    name="soft_sort",
    tensors=("input",),
    arguments=lambda tensors, setting: (*tensors, *setting),
    oracle=oracle.soft_sort,
    error_bound=lambda tensors, setting, dtype: SORT_ERROR[dtype] * largest_finite(tensors[0]),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        sort_product_bound("sum", dtype, cotangent)
    ],
)
PERMUTAHEDRON_SORT_BACKWARD = Operator(
    name="_permutahedron_sort_backward",
    tensors=("grad_output", "input"),
    arguments=lambda tensors, setting: (*tensors, *sorting_of(tensors[1], setting), *setting),
    oracle=oracle.soft_sort_backward,
    error_bound=lambda tensors, setting, dtype: sort_product_bound("sum", dtype, tensors[0]),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        sort_product_bound("mean", dtype, cotangent),
        sort_product_bound("sum", dtype, tensors[0], cotangent),
    ],
    kernels=2,
)
PERMUTAHEDRON_SORT_TANGENT = Operator(
    name="_permutahedron_sort_tangent",
    tensors=("direction", "input"),
    arguments=lambda tensors, setting: (*tensors, *sorting_of(tensors[1], setting), *setting),
    oracle=oracle.soft_sort_tangent,
    error_bound=lambda tensors, setting, dtype: sort_product_bound("mean", dtype, tensors[0]),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        sort_product_bound("sum", dtype, cotangent),
        sort_product_bound("sum", dtype, cotangent, tensors[0]),
    ],
    kernels=2,
)


# The inverse of a smoothed count, for which the methods are smooth CDFs again.

FRACTIONS = (0.1, 0.35, 0.5, 0.9)  # of a list's items, that are below the points at levels
Q = (0.0, 0.25, 0.5, 0.9, 1.0)


def finite_count(input: Tensor, setting: Setting) -> Tensor:
    finite = oracle.counted_items(input, setting.mask) & input.isfinite()
    return finite.sum(-1, keepdim=True).clamp(min=1).double()


def reach_of_points(input: Tensor, setting: Setting, share: float | Tensor) -> Tensor:
    """How far points are from 0: the largest item, and the bracket min, max +- F^-1(share)."""
    share = torch.as_tensor(share, dtype=torch.float64, device=input.device).clamp(max=0.5)
    inverse = oracle.inverse(share, setting.method)
    return largest_finite(input) - inverse / setting.regularization_strength


def sort_bound(tensors: Tensors, setting: Setting, dtype: torch.dtype) -> Bound:
    reach = reach_of_points(tensors[0], setting, 0.5 / finite_count(tensors[0], setting))
    return SORT_ERROR[dtype] * reach + PLACE_ERROR[dtype] / setting.regularization_strength


def weight_sum(input: Tensor, setting: Setting) -> Tensor:
    """What ``sum_k F'(alpha (y_k - x_j)) / D_k`` over points y_k is at most, but for a factor.

    The largest density of items, twice, for a list of the items and the points, over the smallest
    D_k: at a level k - 1/2 both tails add up to 1/2 or more, so by the concavity of F'(F^-1(p)) the
    density is F'(0) or more. That of the Cauchy distribution, sin^2(pi p)/pi, is convex in the
    tails, and D_k small; but no weight is more than 1, and there is one for each point.
    """
    if setting.method == "cauchy":
        return finite_count(input, setting)
    zero = torch.zeros((), dtype=torch.float64, device=input.device)
    density = oracle.cdf_derivative(zero, setting.method, 1)
    return (2 * oracle.kernel_mass(input, *setting) / density).clamp(min=1)


def sort_derivative_bound(
    input: Tensor, setting: Setting, dtype: torch.dtype, *vectors: Tensor
) -> Bound:
    """Of a mean or a sum with weights F'/D, or of its derivative along one vector more.

    One more vector v adds differences of v, a factor alpha, and the rounding of D once more. It is
    computed in double whatever the dtype, and rounded.
    """
    weights = weight_sum(input, setting)
    vector, *more = (largest_finite(vector) for vector in vectors)
    if not more:
        return DERIVATIVE_ERROR[dtype] * vector * weights
    size = 4 * setting.regularization_strength * vector * more[0] * weights
    exact = DERIVATIVE_ERROR[torch.float64] * size * weights
    return exact + rounding_to(dtype) * size


def quantile_sort_of(input: Tensor, setting: Setting) -> tuple[Tensor, Tensor]:
    """The points and their densities, as blocks_of."""
    forward = torch.ops.rank_relax._quantile_sort_forward
    _, points, densities = forward(input.detach(), *setting)
    return points, densities


SOFT_SORT = Operator(
    name="soft_sort",
    tensors=("input",),
    arguments=lambda tensors, setting: (*tensors, *setting),
    oracle=oracle.soft_sort,
    error_bound=sort_bound,
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        sort_derivative_bound(tensors[0], setting, dtype, cotangent)
    ],
)
QUANTILE_SORT_PRODUCTS = tuple(
    Operator(
        name=name,
        tensors=(vector, "input"),
        arguments=lambda tensors, setting: (
            *tensors,
            *quantile_sort_of(tensors[1], setting),
            *setting,
        ),
        oracle=product,
        error_bound=lambda tensors, setting, dtype: sort_derivative_bound(
            tensors[1], setting, dtype, tensors[0]
        ),
        vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
            sort_derivative_bound(tensors[1], setting, dtype, cotangent),
            sort_derivative_bound(tensors[1], setting, dtype, tensors[0], cotangent),
        ],
        kernels=2,
    )
    for name, vector, product in (
        ("_quantile_sort_backward", "grad_output", oracle.soft_sort_backward),
        ("_quantile_sort_tangent", "direction", oracle.soft_sort_tangent),
    )
)


def levels_of(input: Tensor, setting: Setting) -> Tensor:
    """Some in every list, [*, L]."""
    fractions = torch.tensor(FRACTIONS, dtype=torch.float64, device=input.device)
    return fractions * oracle.counted_items(input, setting.mask).sum(-1, keepdim=True)


def points_of(input: Tensor, setting: Setting) -> Tensor:
    """What the forward hands to the derivatives, as blocks_of."""
    levels = levels_of(input, setting)
    points: Tensor = torch.ops.rank_relax._quantile_at_levels(input.detach(), levels, *setting)
    return points.detach()


def point_bound(input: Tensor, setting: Setting, share: float | Tensor) -> Tensor:
    """Of a point, float64 whatever the dtype, at which at least this share is on either side."""
    reach = reach_of_points(input, setting, share)
    error = SORT_ERROR[torch.float64] * reach
    return error + PLACE_ERROR[torch.float64] / setting.regularization_strength


def rounding_to(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps if dtype != torch.float64 else 0.0


def steepest(input: Tensor, setting: Setting) -> Tensor:
    """The largest |(log F')'| at an item that has a weight at a point: 1; with Phi the distance.

    Of the Cauchy distribution it is 2|d|/(1 + d^2), which is at most 1 too.

    No point between items is farther from the nearest one than the widest gap.
    """
    one = torch.ones_like(largest_finite(input))
    if setting.method not in METHODS:
        raise ValueError(f"method {setting.method!r}")
    if setting.method != "gaussian" or input.size(-1) < 2:
        return one
    finite = oracle.counted_items(input, setting.mask) & input.isfinite()
    places = torch.where(finite, input.detach().double(), torch.inf).sort(-1).values
    gaps = places.diff().nan_to_num(0.0, posinf=0.0).amax(-1, keepdim=True)
    return 4 * one + setting.regularization_strength * gaps


def softmax_bound(
    input: Tensor,
    setting: Setting,
    dtype: torch.dtype,
    share: float | Tensor,
    *vectors: Tensor,
) -> Tensor:
    """Of products with the weights F'/D, or of their derivative along one vector more.

    A point's error moves the logarithm of a weight by alpha times itself and (log F')', and the
    norm of the weights as much. One more vector v adds differences of v and a factor alpha
    (log F')'. It is computed in double whatever the dtype, and rounded.
    """
    alpha, steep = setting.regularization_strength, steepest(input, setting)
    vector, *more = (largest_finite(vector.double()) for vector in vectors)
    size = vector
    for other in more:
        size = size * 4 * alpha * steep * other
    moved = 2 * alpha * steep * point_bound(input, setting, share)
    return size * (DERIVATIVE_ERROR[torch.float64] + moved + rounding_to(dtype))


LEVELS_SHARE = 0.1  # the least of FRACTIONS, and of 1 - FRACTIONS

QUANTILE_AT_LEVELS = Operator(
    name="_quantile_at_levels",
    tensors=("input",),
    arguments=lambda tensors, setting: (*tensors, levels_of(tensors[0], setting), *setting),
    oracle=lambda input, *setting: oracle.points_at_levels(
        input, levels_of(input, Setting(*setting)), *setting
    ),
    error_bound=lambda tensors, setting, dtype: point_bound(tensors[0], setting, LEVELS_SHARE),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        len(FRACTIONS) * softmax_bound(tensors[0], setting, dtype, LEVELS_SHARE, cotangent)
    ],
    is_nan_of_nothing=True,
    gives_double=True,
)
QUANTILE_AT_LEVELS_BACKWARD = Operator(
    name="_quantile_at_levels_backward",
    tensors=("grad_points", "input"),
    arguments=lambda tensors, setting: (
        *tensors,
        levels_of(tensors[1], setting),
        points_of(tensors[1], setting),
        *setting,
    ),
    oracle=lambda grad_points, input, *setting: oracle.quantile_at_levels_backward(
        grad_points, input, levels_of(input, Setting(*setting)), *setting
    ),
    error_bound=lambda tensors, setting, dtype: (
        len(FRACTIONS) * softmax_bound(tensors[1], setting, dtype, LEVELS_SHARE, tensors[0])
    ),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        softmax_bound(tensors[1], setting, torch.float64, LEVELS_SHARE, cotangent),
        len(FRACTIONS)
        * softmax_bound(tensors[1], setting, dtype, LEVELS_SHARE, tensors[0], cotangent),
    ],
    kernels=2,
    is_nan_of_nothing=True,
    is_rounded_double=True,
)
QUANTILE_AT_LEVELS_TANGENT = Operator(
    name="_quantile_at_levels_tangent",
    tensors=("direction", "input"),
    arguments=QUANTILE_AT_LEVELS_BACKWARD.arguments,
    oracle=lambda direction, input, *setting: oracle.quantile_at_levels_tangent(
        direction, input, levels_of(input, Setting(*setting)), *setting
    ),
    error_bound=lambda tensors, setting, dtype: softmax_bound(
        tensors[1], setting, torch.float64, LEVELS_SHARE, tensors[0]
    ),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        len(FRACTIONS) * softmax_bound(tensors[1], setting, dtype, LEVELS_SHARE, cotangent),
        len(FRACTIONS)
        * softmax_bound(tensors[1], setting, dtype, LEVELS_SHARE, cotangent, tensors[0]),
    ],
    kernels=2,
    is_nan_of_nothing=True,
    gives_double=True,
)


def quantile_share(input: Tensor, setting: Setting) -> Tensor:
    return 0.5 / finite_count(input, setting)


def quantile_bound(tensors: Tensors, setting: Setting, dtype: torch.dtype) -> Bound:
    """That of a point, rounded to the dtype."""
    share = quantile_share(tensors[0], setting)
    rounding = rounding_to(dtype) * reach_of_points(tensors[0], setting, share)
    return point_bound(tensors[0], setting, share) + rounding


SOFT_QUANTILE = Operator(
    name="soft_quantile",
    tensors=("input",),
    arguments=lambda tensors, setting: (
        *tensors,
        torch.tensor(Q, dtype=torch.float64, device=tensors[0].device),
        *setting,
    ),
    oracle=lambda input, *setting: oracle.soft_quantile(
        input, torch.tensor(Q, dtype=torch.float64, device=input.device), *setting
    ),
    error_bound=quantile_bound,
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        len(Q)
        * softmax_bound(tensors[0], setting, dtype, quantile_share(tensors[0], setting), cotangent)
    ],
    fewest_items=1,
    is_nan_of_nothing=True,
    is_rounded_double=True,
)


def shares_of(input: Tensor) -> Tensor:
    """Q, as the private operators take it: [*, L]."""
    q = torch.tensor(Q, dtype=torch.float64, device=input.device)
    return q.expand(*input.shape[:-1], len(Q))


def quantiles_of(input: Tensor, setting: Setting) -> tuple[Tensor, Tensor, Tensor]:
    """The shares, the points and their densities, as blocks_of."""
    shares = shares_of(input)
    forward = torch.ops.rank_relax._soft_quantile_forward
    _, points, densities = forward(input.detach(), shares, *setting)
    return shares, points, densities


SOFT_QUANTILE_FORWARD = replace(
    SOFT_QUANTILE,
    name="_soft_quantile_forward",
    is_another_name=True,
    arguments=lambda tensors, setting: (*tensors, shares_of(tensors[0]), *setting),
)
SOFT_QUANTILE_BACKWARD = Operator(
    name="_soft_quantile_backward",
    tensors=("grad_quantiles", "input"),
    arguments=lambda tensors, setting: (*tensors, *quantiles_of(tensors[1], setting), *setting),
    oracle=lambda grad_quantiles, input, *setting: oracle.soft_quantile_backward(
        grad_quantiles, input, shares_of(input), *setting
    ),
    error_bound=lambda tensors, setting, dtype: (
        len(Q)
        * softmax_bound(tensors[1], setting, dtype, quantile_share(tensors[1], setting), tensors[0])
    ),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        softmax_bound(tensors[1], setting, dtype, quantile_share(tensors[1], setting), cotangent),
        len(Q)
        * softmax_bound(
            tensors[1],
            setting,
            dtype,
            quantile_share(tensors[1], setting),
            tensors[0],
            cotangent,
        ),
    ],
    kernels=2,
    fewest_items=1,
    is_nan_of_nothing=True,
    is_rounded_double=True,
)
SOFT_QUANTILE_TANGENT = Operator(
    name="_soft_quantile_tangent",
    tensors=("direction", "input"),
    arguments=SOFT_QUANTILE_BACKWARD.arguments,
    oracle=lambda direction, input, *setting: oracle.soft_quantile_tangent(
        direction, input, shares_of(input), *setting
    ),
    error_bound=lambda tensors, setting, dtype: softmax_bound(
        tensors[1], setting, dtype, quantile_share(tensors[1], setting), tensors[0]
    ),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        len(Q)
        * softmax_bound(tensors[1], setting, dtype, quantile_share(tensors[1], setting), cotangent),
        len(Q)
        * softmax_bound(
            tensors[1],
            setting,
            dtype,
            quantile_share(tensors[1], setting),
            cotangent,
            tensors[0],
        ),
    ],
    kernels=2,
    fewest_items=1,
    is_nan_of_nothing=True,
    is_rounded_double=True,
)


K = 2  # of the top-k masks


def topk_share(input: Tensor, setting: Setting) -> Tensor:
    """Of the items, those on the smaller side of the threshold, or half of one."""
    count = finite_count(input, setting)
    return torch.minimum(count - K, torch.full_like(count, K)).clamp(min=0.5) / count


def topk_density(input: Tensor, setting: Setting) -> Tensor:
    """What an item and the threshold move a share by, and all shares: F'(0) and S[1]."""
    zero = torch.zeros((), dtype=torch.float64, device=input.device)
    return oracle.cdf_derivative(zero, setting.method, 1) + oracle.kernel_mass(input, *setting)


def topk_bound(tensors: Tensors, setting: Setting, dtype: torch.dtype) -> Bound:
    """The threshold's, times alpha and the largest F', and a share's own."""
    error = point_bound(tensors[0], setting, topk_share(tensors[0], setting))
    steepest = 0.5 if setting.method == "laplace" else 0.4
    return SHARE_ERROR[dtype] + steepest * setting.regularization_strength * error


def topk_derivative_bound(
    input: Tensor, setting: Setting, dtype: torch.dtype, *vectors: Tensor
) -> Bound:
    """Of alpha f_i (g_i - sum_j W_j g_j), W as in softmax_bound, or its derivative along one more.

    One more vector adds what it adds to W, and as much to f. In double, and rounded.
    """
    weights = softmax_bound(input, setting, torch.float64, topk_share(input, setting), *vectors)
    vector, *more = (largest_finite(vector) for vector in vectors)
    size = vector
    for other in more:
        weights = 2 * weights
        size = 8 * setting.regularization_strength * steepest(input, setting) * size * other
    densities = (DERIVATIVE_ERROR[torch.float64] + rounding_to(dtype)) * size
    scale = setting.regularization_strength * topk_density(input, setting)
    return scale * (weights + densities)


def number_of_each_list(input: Tensor) -> Tensor:
    """K, as the private operators take it: [*, 1]."""
    return torch.full((*input.shape[:-1], 1), K, dtype=torch.float64, device=input.device)


def topk_densities_of(input: Tensor, setting: Setting) -> Tensor:
    """What the forward hands to the backward, as blocks_of."""
    forward = torch.ops.rank_relax._soft_topk_forward
    densities: Tensor = forward(input.detach(), number_of_each_list(input), *setting)[1]
    return densities


SOFT_TOPK = Operator(
    name="soft_topk",
    tensors=("input",),
    arguments=lambda tensors, setting: (
        *tensors,
        torch.tensor(K, device=tensors[0].device),
        *setting,
    ),
    oracle=lambda input, *setting: oracle.soft_topk(
        input, torch.tensor(K, device=input.device), *setting
    ),
    error_bound=topk_bound,
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        topk_derivative_bound(tensors[0], setting, dtype, cotangent)
    ],
    is_rounded_double=True,
)
SOFT_TOPK_FORWARD = replace(
    SOFT_TOPK,
    name="_soft_topk_forward",
    is_another_name=True,
    arguments=lambda tensors, setting: (*tensors, number_of_each_list(tensors[0]), *setting),
)
SOFT_TOPK_BACKWARD = Operator(
    name="_soft_topk_backward",
    tensors=("grad_output", "input"),
    arguments=lambda tensors, setting: (
        *tensors,
        number_of_each_list(tensors[1]),
        topk_densities_of(tensors[1], setting),
        *setting,
    ),
    oracle=lambda grad_output, input, *setting: oracle.soft_topk_backward(
        grad_output, input, torch.tensor(K, device=input.device), *setting
    ),
    error_bound=lambda tensors, setting, dtype: topk_derivative_bound(
        tensors[1], setting, dtype, tensors[0]
    ),
    vjp_error_bound=lambda cotangent, tensors, setting, dtype: [
        topk_derivative_bound(tensors[1], setting, dtype, cotangent),
        topk_derivative_bound(tensors[1], setting, dtype, tensors[0], cotangent),
    ],
    kernels=2,
    is_rounded_double=True,
)

POINTS, SETS = 4, 2  # of the sums at points

# Of what the sizes of the terms and of their slopes add up to, of either order.
COUNT_ERROR = {torch.float64: 2e-13, torch.float32: 1e-6}


def count_scale(tensors: Tensors, setting: Setting, order: int) -> Tensor:
    """``alpha^p sum_j |w_j| (|K_p| + F' + tiny)`` at the points.

    Tiny for tails out of reach, and for those of the oracle, which are exact beside 1 alone: of
    float64 two units in its last place.
    """
    weights, points, values = (tensor.detach() for tensor in tensors)
    sizes = weights.double().abs()
    alpha = setting.regularization_strength
    d = alpha * (points.double()[..., :, None] - values.double()[..., None, :])
    kernels = [oracle.summed_kernel(d, setting.method, k) for k in (order, 1)]
    mass = kernels[0].abs() + kernels[1] + 2.5e-3
    if setting.mask is not None:
        sizes = torch.where(setting.mask[..., None, :], sizes, 0.0)
    return (sizes[..., :, None, :] * mass[..., None, :, :]).sum(-1) * alpha**order


def count_bound(order: int) -> Callable[[Tensors, Setting, torch.dtype], Bound]:
    return lambda tensors, setting, dtype: COUNT_ERROR[dtype] * count_scale(tensors, setting, order)


def count_vjp_bound(
    order: int,
) -> Callable[[Tensor, Tensors, Setting, torch.dtype], Sequence[Bound]]:
    """Of sums of that order and the next, with points and values exchanged, and of few products."""

    def bounds(
        cotangent: Tensor, tensors: Tensors, setting: Setting, dtype: torch.dtype
    ) -> Sequence[Bound]:
        weights, points, values = tensors
        exchanged = (cotangent, -values, -points)
        plain = setting._replace(mask=None)
        of_weights = count_scale(exchanged, plain, order)
        of_points = cotangent.double().abs() * count_scale(tensors, setting, order + 1)
        of_values = weights.double().abs() * count_scale(exchanged, plain, order + 1)
        return [
            2 * COUNT_ERROR[dtype] * bound
            for bound in (of_weights, of_points.sum(-2), of_values.sum(-2))
        ]

    return bounds


SOFT_COUNT = Operator(
    name="soft_count",
    tensors=("weights", "points", "input"),
    arguments=lambda tensors, setting: (tensors[1], tensors[2], tensors[0], *setting),
    oracle=lambda weights, points, input, *setting: oracle.kernel_sum(
        weights, points, input, 0, *setting
    ),
    error_bound=count_bound(0),
    vjp_error_bound=count_vjp_bound(0),
)


def kernel_sum_operator(order: int) -> Operator:
    def arguments(tensors: Tensors, setting: Setting) -> tuple[Any, ...]:
        weights, points, input = tensors
        strength, method, mask = setting
        if mask is not None:  # which the operator does not have
            weights = weights.masked_fill(~mask[..., None, :], 0)
        return points, input, weights, strength, method, order, None, None

    return replace(
        SOFT_COUNT,
        name=f"_kernel_sum[{order}]",
        arguments=arguments,
        oracle=lambda weights, points, input, *setting: oracle.kernel_sum(
            weights, points, input, order, *setting
        ),
        error_bound=count_bound(order),
        vjp_error_bound=count_vjp_bound(order),
    )


OPERATORS = (
    SOFT_RANK,
    SOFT_RANK_BACKWARD,
    *(derivative_operator(order) for order in range(4)),
    SPEARMAN_LOSS,
    SPEARMAN_LOSS_FORWARD,
    SPEARMAN_LOSS_BACKWARD,
    SPEARMAN_LOSS_AT_RANKS_FORWARD,
    SPEARMAN_LOSS_AT_RANKS_BACKWARD,
    *(by_projection(SOFT_RANK, method) for method in oracle.PROJECTIONS),
    by_projection(PERMUTAHEDRON_FORWARD, "kl"),
    replace(by_projection(PERMUTAHEDRON_DERIVATIVES[0], "l2"), flat_in=("input",)),
    by_projection(PERMUTAHEDRON_DERIVATIVES[0], "kl"),
    by_projection(PERMUTAHEDRON_DERIVATIVES[1], "kl"),
    *(by_projection(SPEARMAN_LOSS, method) for method in oracle.PROJECTIONS),
    *(by_projection(PROJECTED_SORT, method) for method in oracle.PROJECTIONS),
    *(
        by_projection(replace(product, flat_in=("input",)), "l2")
        for product in (PERMUTAHEDRON_SORT_BACKWARD, PERMUTAHEDRON_SORT_TANGENT)
    ),
    *(
        by_projection(product, "kl")
        for product in (PERMUTAHEDRON_SORT_BACKWARD, PERMUTAHEDRON_SORT_TANGENT)
    ),
    SOFT_SORT,
    replace(SOFT_SORT, name="_quantile_sort_forward", is_another_name=True),
    *QUANTILE_SORT_PRODUCTS,
    SOFT_QUANTILE,
    SOFT_QUANTILE_FORWARD,
    SOFT_QUANTILE_BACKWARD,
    SOFT_QUANTILE_TANGENT,
    SOFT_TOPK,
    SOFT_TOPK_FORWARD,
    SOFT_TOPK_BACKWARD,
    QUANTILE_AT_LEVELS,
    QUANTILE_AT_LEVELS_BACKWARD,
    QUANTILE_AT_LEVELS_TANGENT,
    SOFT_COUNT,
    kernel_sum_operator(-1),
    kernel_sum_operator(2),
)

# Those that are asked for their numbers.
FORMULAS = tuple(operator for operator in OPERATORS if not operator.is_another_name)
