"""What every operator must return: the definitions, from all pairs or all runs of items in float64.

Slow on purpose: an n x n table, halving for a root, no algorithm. Each formula is that of the
documentation.
Everything is differentiable by autograd and usable under ``torch.func``, so that derivatives of
any order can be asked of the oracle too.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.polynomial import Polynomial
from numpy.polynomial.hermite_e import HermiteE
from scipy.stats import rankdata
from torch import Tensor
from torch.func import grad, vjp

# F is 0 or 1, and its derivatives are 0, to the last bit of a float64 long before |d| = 1000; but
# of the Cauchy distribution that is so from 1e16 on, and autograd takes powers of d.
FAR, FAR_OF_CAUCHY = 1000.0, 1e30

# The methods that project the values instead of comparing them.
PROJECTIONS = ("l2", "kl")


def average_rank(values: Tensor) -> Tensor:
    """The hard rank along the last dimension, from 1, by scipy: in float64."""
    ranks = torch.from_numpy(rankdata(values.cpu().numpy(), axis=-1))
    return ranks.to(values.device)


def counted_items(input: Tensor, mask: Tensor | None) -> Tensor:
    """True at the items that are compared: neither masked nor NaN."""
    return ~input.isnan() if mask is None else mask & ~input.isnan()


def far_of(method: str) -> float:
    return FAR_OF_CAUCHY if method == "cauchy" else FAR


def scaled_differences(
    input: Tensor, regularization_strength: float | Tensor, method: str
) -> Tensor:
    """``d[..., m, j] = alpha * (x[m] - x[j])``, where infinities are ordered and equal ones tie."""
    far = far_of(method)
    values = torch.where(input.isfinite(), input.double(), 0.0)
    differences = regularization_strength * (values[..., :, None] - values[..., None, :])
    left, right = input.detach()[..., :, None], input.detach()[..., None, :]
    order = (left > right).double() - (left < right).double()
    both_finite = left.isfinite() & right.isfinite()
    return torch.where(both_finite, differences.clamp(-far, far), far * order)


def evaluate(polynomial: Polynomial, argument: Tensor) -> Tensor:
    value = torch.zeros_like(argument)
    for coefficient in reversed(polynomial.coef):
        value = value * argument + float(coefficient)
    return value


def of_both_sides(side: Callable[[Tensor], Tensor], d: Tensor) -> Tensor:
    """The mean of what a function of ``d > 0`` says of d = 0 and of its neighbours: so at a kink.

    It is that of every derivative, too, be it by autograd. Elsewhere both are the same.
    """
    return (side(d.detach() > 0) + side(d.detach() >= 0)) / 2


def cdf_derivative(d: Tensor, method: str, order: int) -> Tensor:
    """The derivative F^(order) at d; order 0 is F - 1/2, relatively exact near 0."""
    if method == "sigmoid":
        # With t = tanh(d/2): F - 1/2 = t/2 and dt/dd = (1 - t^2)/2.
        polynomial = Polynomial([0.0, 0.5])
        for _ in range(order):
            polynomial = polynomial.deriv() * Polynomial([0.5, 0.0, -0.5])
        return evaluate(polynomial, torch.tanh(d / 2))
    if method == "gaussian":
        if order == 0:
            return torch.erf(d / 2**0.5) / 2
        # phi^(k) = (-1)^k He_k phi, and F^(k+1) = phi^(k).
        hermite = HermiteE.basis(order - 1).convert(kind=Polynomial)
        density = torch.exp(-d * d / 2) / (2 * torch.pi) ** 0.5
        return (-1) ** (order - 1) * evaluate(hermite, d) * density
    if method == "laplace":
        # e^d/2 below 0 and 1 - e^-d/2 above; F'' jumps at 0, where even orders count as 0.
        def side(above: Tensor) -> Tensor:
            decay = torch.where(above, -d, d)
            value = (torch.exp(decay) if order else torch.expm1(decay)) / 2
            return torch.where(above & (order % 2 == 0), -value, value)

        return of_both_sides(side, d)
    if method == "cauchy":
        if order == 0:
            return torch.atan(d) / torch.pi
        # With z = 1/(d - i): F' = Im(z)/pi, and each derivative of z^k is -k z^(k+1).
        imaginary = 1 / (1 + d * d)
        real = d * imaginary
        a, b = real, imaginary
        for k in range(1, order):
            a, b = -k * (a * real - b * imaginary), -k * (a * imaginary + b * real)
        return b / torch.pi
    raise ValueError(f"method {method!r}")


def runs_of_the_regression(s: Tensor, t: Tensor, count: Tensor, method: str) -> Tensor:
    """Whether sorted items i and j are in one block, ``[..., i, j]``, by the min-max formula.

    The isotonic regression is ``max_{a <= i} min_{b >= i} m(a..b)``, over all runs a..b of the
    first ``count`` items, with m the mean of ``s - t`` (l2) or ``LSE(s) - LSE(t)`` (kl).
    """
    at = torch.arange(s.size(-1), device=s.device)
    inside = at[:, None] <= at  # a <= b
    if method == "l2":
        sums = torch.where(inside, (s - t)[..., None, :], 0.0).cumsum(-1)
        means = sums / (at - at[:, None] + 1).clamp(min=1)
    else:
        logs = [torch.where(inside, x[..., None, :], -torch.inf) for x in (s, t)]
        means = logs[0].logcumsumexp(-1) - logs[1].logcumsumexp(-1)
    means = torch.where(inside & (at < count[..., None]), means, torch.inf)
    lowest = means.flip(-1).cummin(-1).values.flip(-1)
    values = torch.where(inside, lowest, -torch.inf).amax(-2)
    # Exactly: one run gives a whole block its value.
    same = values[..., :, None] == values[..., None, :]
    return same | torch.eye(s.size(-1), dtype=torch.bool, device=s.device)


def projection_sums(
    directions: Sequence[Tensor],
    input: Tensor,
    regularization_strength: float | Tensor,
    method: str,
    counted: Tensor,
) -> Tensor:
    """Ranks around 0, ``rank - (n + 1) / 2``, or their derivative along the directions."""
    finite = counted & input.isfinite()
    if input.size(-1) == 0:
        return torch.where(finite, input.double(), 0.0)
    below, above = ((counted & (input == sign * torch.inf)) for sign in (-1, 1))
    lower, upper, n = (items.sum(-1, keepdim=True) for items in (below, above, counted))
    order = torch.where(finite, input.detach().double(), torch.inf).argsort(dim=-1, stable=True)
    place, count = order.argsort(-1), finite.sum(-1, keepdim=True)
    w = lower + torch.arange(1.0, input.size(-1) + 1, dtype=torch.float64, device=input.device)
    sorted_finite = finite.gather(-1, order)

    def scaled(values: Tensor) -> Tensor:
        s = regularization_strength * torch.where(finite, values.double(), 0.0).gather(-1, order)
        # Nothing less than a difference matters, and sums of small numbers keep their digits.
        return s - torch.where(sorted_finite, s.detach(), torch.inf).amin(-1, True).nan_to_num()

    s = scaled(input.detach())
    same = runs_of_the_regression(s, w if method == "l2" else w.log(), count, method)
    same = same & sorted_finite[..., :, None] & sorted_finite[..., None, :]
    size = same.sum(-1).clamp(min=1)
    mean_rank = torch.where(same, w[..., None, :], 0.0).sum(-1) / size
    # Relative to the block's first item, so that narrow blocks keep their digits.
    first = torch.where(same, s[..., None, :], torch.inf).amin(-1).nan_to_num(posinf=0.0)

    def ranks(values: Tensor) -> Tensor:
        d = torch.where(sorted_finite, scaled(values) - first, 0.0)
        c = d if method == "l2" else torch.expm1(d)
        mean = torch.where(same, c[..., None, :], 0.0).sum(-1) / size
        within = c - mean if method == "l2" else mean_rank * (c - mean) / (1 + mean)
        outside = torch.where(below, (lower - n) / 2, torch.where(above, (n - upper) / 2, 0.0))
        around = (mean_rank - (n + 1) / 2 + within).gather(-1, place)
        return torch.where(finite, around, outside)

    derivative = ranks
    for direction in directions:
        derivative = along(derivative, torch.where(finite, direction.double(), 0.0))
    return derivative(input.double())


def tail(d: Tensor, method: str) -> Tensor:
    """F, to full relative precision at negative d."""
    if method == "sigmoid":
        return torch.sigmoid(d)
    if method == "gaussian":
        return torch.special.ndtr(d)
    if method == "laplace":

        def side(above: Tensor) -> Tensor:
            decay = torch.exp(torch.where(above, -d, d)) / 2
            return torch.where(above, 1 - decay, decay)

        return of_both_sides(side, d)
    if method == "cauchy":
        return torch.atan2(torch.ones_like(d), -d) / torch.pi
    raise ValueError(f"method {method!r}")


def log_tail(d: Tensor, method: str) -> Tensor:
    if method == "sigmoid":
        return -torch.nn.functional.softplus(-d, threshold=700)  # no exponential overflows
    if method == "gaussian":
        return torch.special.log_ndtr(d)
    if method == "laplace":

        def side(above: Tensor) -> Tensor:
            decay = torch.where(above, -d, d)
            return torch.where(above, torch.log1p(-torch.exp(decay) / 2), decay - math.log(2))

        return of_both_sides(side, d)
    if method == "cauchy":
        return tail(d, method).log()
    raise ValueError(f"method {method!r}")


def inverse(share: Tensor, method: str) -> Tensor:
    """F^-1, to full relative precision at small shares, of at most a half."""
    if method == "sigmoid":
        return torch.logit(share)
    if method == "gaussian":
        return torch.special.ndtri(share)
    if method == "laplace":
        return torch.log(2 * share)
    if method == "cauchy":
        return -1 / torch.tan(torch.pi * share)
    raise ValueError(f"method {method!r}")


def halved(residual: Callable[[Tensor], Tensor], lower: Tensor, upper: Tensor) -> Tensor:
    """The root of an increasing function, to 1e-12 of the first bounds' distance."""
    for _ in range(40):
        middle = lower / 2 + upper / 2
        is_above = residual(middle) > 0
        lower = torch.where(is_above, lower, middle)
        upper = torch.where(is_above, middle, upper)
    return lower / 2 + upper / 2


def root(
    residual: Callable[[Tensor, Tensor], Tensor], x: Tensor, lower: Tensor, upper: Tensor
) -> Tensor:
    """Finds y with residual(y, x) = 0, increasing in y, and its derivatives with respect to x.

    Newton's steps leave but rounding of what halving has left. In the derivatives, of the implicit
    function theorem, each step doubles the number of orders that are right: three are enough for 7.
    """

    def sum_and_values(y: Tensor) -> tuple[Tensor, Tensor]:
        value = residual(y, x)
        return value.sum(), value

    fixed = x.detach()
    y = halved(lambda y: residual(y, fixed), lower.detach(), upper.detach())
    for _ in range(3):
        slope, value = grad(sum_and_values, has_aux=True)(y)  # each residual is of its own y
        y = y - value / slope
    return y


def finite_points_at_levels(
    x: Tensor,
    finite: Tensor,
    levels: Tensor,
    regularization_strength: float | Tensor,
    method: str,
    *,
    may_be_whole: bool,
) -> Tensor:
    """Finds y with ``sum_j F(alpha (y - x_j)) = level`` over finite items, 0 < level < count.

    Whole items below y are counted, and only tails are added up, so that no digit is lost to the
    count. A whole level between two neighbours is where both tails are equal, and so are their
    logarithms, which do not vanish in any gap.
    """
    count = finite.sum(-1, keepdim=True)
    items = finite[..., None, :]
    fixed = torch.where(finite, x.detach(), torch.inf).sort(-1)
    place, place_of = fixed.values, fixed.indices.argsort(-1)

    def at_place(k: Tensor) -> Tensor:
        return place.gather(-1, k.clamp(0, place.size(-1) - 1))

    def scaled(y: Tensor, x: Tensor) -> Tensor:
        return regularization_strength * torch.where(items, y[..., :, None] - x[..., None, :], 0.0)

    def count_residual(y: Tensor, x: Tensor) -> Tensor:
        d = scaled(y, x)
        below = d.detach() > 0
        tails = tail(torch.where(below, -d, d), method)
        signed = torch.where(items, torch.where(below, -tails, tails), 0.0)
        return ((below & items).sum(-1) - levels) + signed.sum(-1)

    whole = levels.floor()
    lowest, highest = (
        at_place(torch.zeros_like(whole).long()),
        at_place((count - 1).expand_as(whole)),
    )
    share = torch.minimum(levels, count - levels) / count
    margin = (inverse(share, method).abs() + 1) / regularization_strength
    if not may_be_whole:
        return root(count_residual, x, lowest - margin, highest + margin)

    below = place_of[..., None, :] < whole[..., :, None]

    def balance_residual(y: Tensor, x: Tensor) -> Tensor:
        d = scaled(y, x)
        logs = log_tail(torch.where(below, -d, d), method)
        # Both sides have items, or it is not asked.
        asked = is_gap[..., :, None]
        upper, lower = (
            torch.where(asked, torch.where(items & side, logs, -torch.inf), 0.0).logsumexp(-1)
            for side in (~below, below)
        )
        return upper - lower

    left, right = at_place(whole.long() - 1), at_place(whole.long())
    is_gap = (levels == whole) & (left < right)
    if bool(is_gap.any()):  # else no item may be on a side
        ends = [
            balance_residual(torch.where(is_gap, end, lowest), x.detach()) for end in (left, right)
        ]
        is_gap = is_gap & (ends[0] <= 0) & (ends[1] >= 0)
    lower = torch.where(is_gap, left, lowest - margin)
    upper = torch.where(is_gap, right, highest + margin)

    def residual(y: Tensor, x: Tensor) -> Tensor:
        # No infinite logarithm, and no vanishing slope, where it is the other one's turn.
        balanced = balance_residual(torch.where(is_gap, y, lowest / 2 + highest / 2), x)
        return torch.where(is_gap, balanced, count_residual(torch.where(is_gap, lowest, y), x))

    return root(residual, x, lower, upper)


def points_at_levels(
    input: Tensor,
    levels: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
    *,
    may_be_whole: bool = True,
) -> Tensor:
    """The y with ``sum_j F(alpha (y - x_j)) = level``, infinite where infinities have the level."""
    if input.size(-1) == 0:
        return torch.full_like(levels, torch.nan) + input.double().sum(-1, keepdim=True)
    counted = counted_items(input, mask)
    finite = counted & input.isfinite()
    count = finite.sum(-1, keepdim=True)
    own = levels - (counted & (input == -torch.inf)).sum(-1, keepdim=True)
    inside = (own > 0) & (own < count)
    # One item at 0 where there is none, and a level of 1/2 where it is not one of a finite value.
    first = torch.arange(input.size(-1), device=input.device) == 0
    x = torch.where(finite, input.double(), 0.0)
    points = finite_points_at_levels(
        x,
        finite | (first & (count == 0)),
        torch.where(inside, own, 0.5),
        regularization_strength,
        method,
        may_be_whole=may_be_whole,
    )
    outside = torch.where(own <= 0, -torch.inf, torch.inf).double()
    between = (count == 0) & ((own == 0) | ~counted.any(-1, keepdim=True))
    outside = torch.where(own.isnan() | between, torch.nan, outside)
    return torch.where(inside, points, outside)


def quantile_at_levels_backward(
    grad_points: Tensor, input: Tensor, levels: Tensor, *setting: Any
) -> Tensor:
    """The transposed Jacobian of the points times what comes in."""
    return transposed_product(lambda x: points_at_levels(x, levels, *setting), input, grad_points)


def quantile_at_levels_tangent(
    direction: Tensor, input: Tensor, levels: Tensor, *setting: Any
) -> Tensor:
    """The Jacobian of the points times the direction."""
    points, tangent = product(
        lambda x: points_at_levels(x, levels, *setting), input.double(), direction.double()
    )
    return torch.where(points.isnan(), torch.nan, tangent)


def soft_quantile(
    input: Tensor,
    q: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """The point at level q (n - 1) + 1/2; NaN for a row with a NaN that counts."""
    count = counted_items(input, mask).sum(-1, keepdim=True)
    q = torch.where((q >= 0) & (q <= 1), q.double(), torch.nan)
    points = points_at_levels(input, q * (count - 1) + 0.5, regularization_strength, method, mask)
    is_nan = input.isnan() if mask is None else mask & input.isnan()
    return points * torch.where(is_nan.any(-1, keepdim=True), torch.nan, 1.0)


def soft_quantile_backward(grad_output: Tensor, input: Tensor, q: Tensor, *setting: Any) -> Tensor:
    """The transposed Jacobian of the quantiles times what comes in."""
    return transposed_product(lambda x: soft_quantile(x, q, *setting), input, grad_output)


def soft_quantile_tangent(direction: Tensor, input: Tensor, q: Tensor, *setting: Any) -> Tensor:
    """The Jacobian of the quantiles times the direction."""
    quantiles, tangent = product(
        lambda x: soft_quantile(x, q, *setting), input.double(), direction.double()
    )
    return torch.where(quantiles.isnan(), torch.nan, tangent)


def soft_topk(
    input: Tensor,
    k: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """F(alpha (x - c)) that adds up to k over the counted items, with infinities first and last."""
    if input.size(-1) == 0:
        return input.double()
    counted = counted_items(input, mask)
    finite = counted & input.isfinite()
    tops, bottoms = ((counted & (input == sign * torch.inf)) for sign in (1, -1))
    n, top_count, bottom_count = (
        items.sum(-1, keepdim=True).double() for items in (counted, tops, bottoms)
    )
    k = k.double()[..., None] if k.dim() else k.double()
    k = torch.where(k >= 0, torch.minimum(k, n), torch.nan)
    c = points_at_levels(input, n - k, regularization_strength, method, mask)
    x = torch.where(finite, input.double(), 0.0)
    at = torch.where(c.isinf(), 0.0, c)
    chosen = tail(regularization_strength * (x - at), method)
    chosen = torch.where(c == torch.inf, 0.0, torch.where(c == -torch.inf, 1.0, chosen))
    of_tops = (k / top_count.clamp(min=1)).clamp(max=1)
    of_bottoms = ((k - (n - bottom_count)) / bottom_count.clamp(min=1)).clamp(min=0)
    chosen = torch.where(tops, of_tops, torch.where(bottoms, of_bottoms, chosen))
    return with_nan_items(torch.where(counted, chosen, 0.0), input, mask)


def soft_sort(
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """-inf, the soft sorted finite values, inf, NaN; then 0 for every masked item."""
    if input.size(-1) == 0:
        return input.double()
    counted = counted_items(input, mask)
    finite = counted & input.isfinite()
    lower = (counted & (input == -torch.inf)).sum(-1, keepdim=True)
    unmasked = input == input if mask is None else mask
    kinds = torch.where(finite, 1, torch.where(input > 0, 2, 0))
    kinds = torch.where(counted, kinds, torch.where(unmasked, 3, 4))
    if mask is None:
        kinds = torch.where(input.isnan(), 3, kinds)
    order = torch.where(finite, input.detach().double(), 0.0).argsort(dim=-1, stable=True)
    order = order.gather(-1, kinds.gather(-1, order).argsort(dim=-1, stable=True))
    kinds, at_places = kinds.gather(-1, order), input.double().gather(-1, order)
    count = finite.sum(-1, keepdim=True)
    k = torch.arange(input.size(-1), device=input.device).expand(input.shape)
    # The finite values first, and back.
    forth, back = (k + lower).clamp(max=input.size(-1) - 1), (k - lower).clamp(min=0)
    x = torch.where(kinds == 1, at_places, 0.0).gather(-1, forth)
    sorted_softly = sorted_by_projection if method in PROJECTIONS else sorted_by_quantiles
    values = sorted_softly(x, count, regularization_strength, method).gather(-1, back)
    others = torch.where(kinds == 4, 0.0, torch.where(kinds == 3, 0.0, at_places.detach()))
    return nan_where(kinds == 3, at_places, torch.where(kinds == 1, values, others))


def sorted_by_quantiles(
    x: Tensor, count: Tensor, regularization_strength: float | Tensor, method: str
) -> Tensor:
    """Soft sorted values of the first ``count`` items: the points at k - 1/2, k = 1..count."""
    k = torch.arange(x.size(-1), device=x.device).expand(x.shape)
    inside = k < count
    levels = torch.where(inside, k + 0.5, 0.5).double()
    some = inside | ((k == 0) & (count == 0))
    return finite_points_at_levels(
        x, some, levels, regularization_strength, method, may_be_whole=False
    )


def sorted_by_projection(
    x: Tensor, count: Tensor, regularization_strength: float | Tensor, method: str
) -> Tensor:
    """The same by projection, of ascending items."""
    k = torch.arange(x.size(-1), device=x.device).expand(x.shape)
    steps = regularization_strength * k.double()
    fixed = x.detach()
    s, t = (steps, fixed) if method == "l2" else (-fixed, -steps)
    same = runs_of_the_regression(s, t, count, method)
    pairs = torch.eye(x.size(-1), dtype=torch.bool, device=x.device) | (
        (k < count)[..., :, None] & (k < count)[..., None, :]
    )
    same = same & pairs
    size = same.sum(-1)
    # Places counted from the block's first, so that no rounding grows with the list.
    first = torch.where(same, k[..., None, :], x.size(-1)).amin(-1)
    if method == "l2":
        mean = torch.where(same, x[..., None, :], 0.0).sum(-1) / size
        mean = mean - regularization_strength * (size.double() - 1) / 2
    else:
        steps = regularization_strength * (k[..., None, :] - first[..., :, None]).double()
        logs = [
            torch.where(same, -v, -torch.inf).logsumexp(-1)
            for v in (steps, x[..., None, :].expand(same.shape))
        ]
        mean = logs[0] - logs[1]
    return mean + regularization_strength * (k - first).double()


def soft_sort_tangent(
    direction: Tensor,
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """The Jacobian of the sorted values times the direction."""
    counted = counted_items(input, mask)
    v = torch.where(counted & input.isfinite(), direction.double(), 0.0)

    def values(x: Tensor) -> Tensor:
        return soft_sort(x, regularization_strength, method, mask)

    return product(values, input.double(), v)[1]


def soft_sort_backward(grad_output: Tensor, input: Tensor, *setting: Any) -> Tensor:
    """The transposed Jacobian of the sorted values times what comes in."""
    return transposed_product(lambda x: soft_sort(x, *setting), input, grad_output)


def soft_topk_backward(grad_output: Tensor, input: Tensor, k: Tensor, *setting: Any) -> Tensor:
    """The transposed Jacobian of the mask times what comes in."""
    return transposed_product(lambda x: soft_topk(x, k, *setting), input, grad_output)


def integral(d: Tensor, method: str) -> Tensor:
    """H with H' = F."""
    if method == "sigmoid":
        return torch.nn.functional.softplus(d, threshold=700)
    if method == "gaussian":
        return d * torch.special.ndtr(d) + cdf_derivative(d, method, 1)
    if method == "laplace":
        return d.clamp(min=0) + torch.exp(-d.abs()) / 2
    if method == "cauchy":
        # d/2 + (d arctan d - log(1 + d²)/2)/π without what cancels.
        far = d.abs() * tail(-d.abs(), method)
        return d.clamp(min=0) - far - torch.log1p(d**2) / (2 * torch.pi)
    raise ValueError(f"method {method!r}")


def summed_kernel(d: Tensor, method: str, order: int) -> Tensor:
    """F, its integral or a derivative, to full relative precision where it is small."""
    if order == -1:
        return integral(d, method)
    if order == 0:
        return tail(d, method)
    side = cdf_derivative(torch.where(d > 0, -d, d), method, order)
    return torch.where(d > 0, -side, side) if order % 2 == 0 else side


def kernel_sum(
    weights: Tensor,
    points: Tensor,
    values: Tensor,
    order: int,
    regularization_strength: float = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """``alpha^p sum_j w_j F^(p)(alpha (t_i - x_j))`` over items that count, -1 the integral."""
    d = regularization_strength * (points.double()[..., :, None] - values.double()[..., None, :])
    terms = summed_kernel(d, method, order)
    own = weights.double()
    if mask is not None:
        own = torch.where(mask[..., None, :], own, 0.0)
    sums = (own[..., :, None, :] * terms[..., None, :, :]).sum(-1)
    return sums * regularization_strength**order


def transposed_product(
    function: Callable[[Tensor], Tensor], input: Tensor, grad_output: Tensor
) -> Tensor:
    gradient: Tensor = vjp(function, input.double())[1](grad_output.double())[0]
    return gradient


def product(
    function: Callable[[Tensor], Tensor], input: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor]:
    """The function's value, and its Jacobian times the direction.

    Transposed twice: torch's forward mode asks Python for the strides of every sum and product.
    """
    value, pull = vjp(function, input)
    transposed_twice = vjp(lambda cotangent: pull(cotangent)[0], torch.zeros_like(value))[1]
    return value, transposed_twice(direction)[0]


def along(function: Callable[[Tensor], Tensor], direction: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda values: product(function, values, direction)[1]


def derivative_sums(
    directions: Sequence[Tensor],
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """``alpha^k sum_{j != m} prod_i (v_i[m] - v_i[j]) F^(k)(d[m, j])``; k = 0: sums of F - 1/2.

    For a projection the derivative of the ranks along the directions; k = 0: ranks around 0.
    """
    order = len(directions)
    counted = counted_items(input, mask)
    # A derivative sees no infinite item: its rank doesn't move, nor does it move another's.
    seen = counted if order == 0 else counted & input.isfinite()
    if method in PROJECTIONS:
        return projection_sums(directions, input, regularization_strength, method, counted)
    d = scaled_differences(input, regularization_strength, method)
    terms = cdf_derivative(d, method, order)
    if order:  # not that of the end, which a strength of 1e300 would make large
        terms = torch.where(d.abs() < far_of(method), terms, 0.0)
    for direction in directions:
        # What stands at an unseen item is ignored, be it NaN.
        v = torch.where(seen, direction.double(), 0.0)
        terms = terms * (v[..., :, None] - v[..., None, :]) * regularization_strength
    pairs = seen[..., :, None] & seen[..., None, :]  # m = j adds 0 at every order, F(0) = 1/2
    pairs = pairs & ~torch.eye(input.size(-1), dtype=torch.bool, device=input.device)
    return torch.where(pairs, terms, 0.0).sum(-1)


def nan_where(condition: Tensor, argument: Tensor, otherwise: Tensor) -> Tensor:
    """NaN where the condition holds, and so is the gradient that this sends to the argument."""
    nan = torch.where(condition, torch.nan, 0.0) * torch.where(condition, argument, 0.0)
    return torch.where(condition, nan, otherwise)


def with_nan_items(result: Tensor, input: Tensor, mask: Tensor | None) -> Tensor:
    """NaN, gradient included, at the items that are NaN and not masked."""
    nan_items = input.isnan() if mask is None else mask & input.isnan()
    return nan_where(nan_items, input.double(), result)


def other_items(input: Tensor, mask: Tensor | None) -> Tensor:
    """The n - 1 of every formula, and at least 1."""
    return (counted_items(input, mask).sum(-1, keepdim=True) - 1).clamp(min=1)


def soft_rank_derivative(
    directions: Sequence[Tensor],
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    sums = derivative_sums(directions, input, regularization_strength, method, mask)
    return with_nan_items(sums / other_items(input, mask), input, mask)


def soft_rank(
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    centred = soft_rank_derivative([], input, regularization_strength, method, mask)
    counted = counted_items(input, mask)
    compared = counted & (counted.sum(-1, keepdim=True) > 1)
    return torch.where(compared, centred + 0.5, with_nan_items(0 * centred, input, mask))


def soft_rank_backward(
    grad_output: Tensor,
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    return soft_rank_derivative([grad_output], input, regularization_strength, method, mask)


def kernel_mass(
    input: Tensor,
    regularization_strength: float = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """``max_m sum_j F'(d[m, j])`` over counted, finite items, the item itself included: S[1].

    For a projection, the largest factor before a difference from a mean: 1 (l2) or a rank (kl).
    """
    if method in PROJECTIONS:
        count = counted_items(input, mask).sum(-1, keepdim=True).double()
        return count.clamp(max=1) if method == "l2" else count
    density = cdf_derivative(scaled_differences(input, regularization_strength, method), method, 1)
    seen = counted_items(input, mask) & input.isfinite()
    pairs = seen[..., :, None] & seen[..., None, :]
    sums = torch.where(pairs, density, 0.0).sum(-1)
    return sums.amax(-1, keepdim=True) if input.size(-1) else sums


def is_constant(input: Tensor, mask: Tensor | None) -> Tensor:
    """Whether max == min, exactly, over the unmasked items; as a [*, 1] tensor."""
    counted = counted_items(input, mask)
    if input.size(-1) == 0:
        return torch.ones_like(counted.sum(-1, keepdim=True), dtype=torch.bool)
    values = input.detach()
    largest = torch.where(counted, values, -torch.inf).amax(-1, keepdim=True)
    smallest = torch.where(counted, values, torch.inf).amin(-1, keepdim=True)
    return largest <= smallest


def pearson(a: Tensor, b: Tensor, mask: Tensor | None) -> Tensor:
    """The correlation over the unmasked items of rows that are neither constant nor NaN."""
    kept = torch.ones_like(a, dtype=torch.bool) if mask is None else mask
    count = kept.sum(-1, keepdim=True).clamp(min=1)
    a, b = torch.where(kept, a, 0.0), torch.where(kept, b, 0.0)
    # Powers of 1e-300 would vanish; the correlation doesn't depend on the scale.
    a, b = a / a.detach().abs().amax(-1, True), b / b.detach().abs().amax(-1, True)
    a = torch.where(kept, a - a.sum(-1, True) / count, 0.0)
    b = torch.where(kept, b - b.sum(-1, True) / count, 0.0)
    return (a * b).sum(-1) / ((a * a).sum(-1) * (b * b).sum(-1)).sqrt()


def spearman_loss_of_sums(
    prediction_sums: Tensor,
    target_sums: Tensor,
    predictions: Tensor,
    targets: Tensor,
    mask: Tensor | None,
) -> Tensor:
    """The loss from the centred rank sums of both arguments, and the exceptions to 1 - rho."""
    if predictions.size(-1) == 0:
        return prediction_sums.sum(-1) + target_sums.sum(-1)
    kept = torch.ones_like(predictions, dtype=torch.bool) if mask is None else mask
    nan_row = (kept & (predictions.isnan() | targets.isnan())).any(-1, keepdim=True)
    constant = is_constant(predictions, mask) | is_constant(targets, mask)
    few = kept.sum(-1, keepdim=True) <= 1
    plain = ~(nan_row | constant | few)
    # A stand-in where there is no correlation to take, so that no 0/0 enters a gradient.
    stand_in = torch.arange(predictions.size(-1), device=predictions.device) + 1.0
    rho = pearson(
        torch.where(plain, prediction_sums, stand_in),
        torch.where(plain, target_sums, stand_in),
        torch.where(plain, kept, True),
    )
    loss = torch.where(few[..., 0], 0.0, torch.where(plain[..., 0], 1 - rho, 1.0))
    # A NaN loss sends NaN to every unmasked item of both arguments.
    everything = torch.where(kept, predictions.double() + targets.double(), 0.0).sum(-1)
    return nan_where(nan_row[..., 0], everything, loss)


def spearman_loss(
    predictions: Tensor,
    targets: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """``1 - Pearson(R(predictions), R(targets))`` per row, from sums of F - 1/2."""
    prediction_sums = derivative_sums([], predictions, regularization_strength, method, mask)
    target_sums = derivative_sums([], targets, regularization_strength, method, mask)
    return spearman_loss_of_sums(prediction_sums, target_sums, predictions, targets, mask)


def spearman_loss_at_ranks(
    predictions: Tensor,
    target_ranks: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """The same with given ranks of the targets, centred or not."""
    prediction_sums = derivative_sums([], predictions, regularization_strength, method, mask)
    ranks = target_ranks.double()
    return spearman_loss_of_sums(prediction_sums, ranks, predictions, ranks, mask)


def spearman_loss_at_ranks_backward(
    grad_output: Tensor, predictions: Tensor, target_ranks: Tensor, *setting: Any
) -> Tensor:
    """Its gradient with respect to the predictions, itself differentiable."""

    def total_loss(candidates: Tensor) -> Tensor:
        return (
            grad_output.double() * spearman_loss_at_ranks(candidates, target_ranks, *setting)
        ).sum()

    gradient: Tensor = torch.func.grad(total_loss)(predictions.double())
    return gradient


def hard_rank(input: Tensor, mask: Tensor | None = None) -> Tensor:
    """Counts of smaller items and half of the equal ones, less (n - 1)/2."""
    kept = torch.ones_like(input, dtype=torch.bool) if mask is None else mask
    pairs = kept[..., :, None] & kept[..., None, :]
    signs = (input.double()[..., :, None] - input.double()[..., None, :]).sign()
    return torch.where(pairs, signs / 2, 0.0).sum(-1)


def spearman_rank_gradients(
    predictions: Tensor,
    targets: Tensor,
    regularization_strength: float = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The gradients of each row's loss with respect to the two rows of ranks."""
    settings = (regularization_strength, method, mask)
    prediction_sums = derivative_sums([], predictions, *settings).detach().requires_grad_()
    target_sums = derivative_sums([], targets, *settings).detach().requires_grad_()
    loss = spearman_loss_of_sums(prediction_sums, target_sums, predictions, targets, mask)
    gradients = torch.autograd.grad(loss.sum(), (prediction_sums, target_sums))
    others = other_items(predictions, mask)  # a rank is a sum divided by that
    return others * gradients[0], others * gradients[1]


def spearman_loss_backward(
    grad_output: Tensor,
    predictions: Tensor,
    targets: Tensor,
    regularization_strength: float = 1.0,
    method: str = "sigmoid",
    mask: Tensor | None = None,
) -> Tensor:
    """The gradient with respect to the predictions, itself differentiable."""

    def total_loss(candidates: Tensor) -> Tensor:
        losses = spearman_loss(candidates, targets, regularization_strength, method, mask)
        return (grad_output.double() * losses).sum()

    gradient: Tensor = torch.func.grad(total_loss)(predictions.double())
    return gradient
