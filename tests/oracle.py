"""What every operator must return: the definitions, from all pairs or all runs of items in float64.

Slow on purpose: an n x n table, no algorithm. Each formula is that of the documentation.
Everything is differentiable by autograd and usable under ``torch.func``, so that derivatives of
any order can be asked of the oracle too.
"""

from collections.abc import Callable, Sequence

import torch
from numpy.polynomial import Polynomial
from numpy.polynomial.hermite_e import HermiteE
from torch import Tensor
from torch.func import jvp, vjp

# F is 0 or 1, and its derivatives are 0, to the last bit of a float64 long before |d| = 1000.
FAR = 1000.0

# The methods that project the values instead of comparing them.
PROJECTIONS = ("l2", "kl")


def counted_items(input: Tensor, mask: Tensor | None) -> Tensor:
    """True at the items that are compared: neither masked nor NaN."""
    return ~input.isnan() if mask is None else mask & ~input.isnan()


def scaled_differences(input: Tensor, regularization_strength: float | Tensor) -> Tensor:
    """``d[..., m, j] = alpha * (x[m] - x[j])``, where infinities are ordered and equal ones tie."""
    values = torch.where(input.isfinite(), input.double(), 0.0)
    differences = regularization_strength * (values[..., :, None] - values[..., None, :])
    left, right = input.detach()[..., :, None], input.detach()[..., None, :]
    order = (left > right).double() - (left < right).double()
    both_finite = left.isfinite() & right.isfinite()
    return torch.where(both_finite, differences.clamp(-FAR, FAR), FAR * order)


def evaluate(polynomial: Polynomial, argument: Tensor) -> Tensor:
    value = torch.zeros_like(argument)
    for coefficient in reversed(polynomial.coef):
        value = value * argument + float(coefficient)
    return value


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


def soft_sort(
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "l2",
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
    steps = regularization_strength * k.double()
    fixed = x.detach()
    s, t = (steps, fixed) if method == "l2" else (-fixed, -steps)
    same = runs_of_the_regression(s, t, count, method)
    pairs = torch.eye(input.size(-1), dtype=torch.bool, device=input.device) | (
        (k < count)[..., :, None] & (k < count)[..., None, :]
    )
    same = same & pairs
    size = same.sum(-1)
    # Places counted from the block's first, so that no rounding grows with the list.
    first = torch.where(same, k[..., None, :], input.size(-1)).amin(-1)
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
    values = (mean + regularization_strength * (k - first).double()).gather(-1, back)
    others = torch.where(kinds == 4, 0.0, torch.where(kinds == 3, 0.0, at_places.detach()))
    return nan_where(kinds == 3, at_places, torch.where(kinds == 1, values, others))


def permutahedron_sort_tangent(
    direction: Tensor,
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "l2",
    mask: Tensor | None = None,
) -> Tensor:
    """The Jacobian of the sorted values times the direction."""
    counted = counted_items(input, mask)
    v = torch.where(counted & input.isfinite(), direction.double(), 0.0)

    def values(x: Tensor) -> Tensor:
        return soft_sort(x, regularization_strength, method, mask)

    tangent: Tensor = jvp(values, (input.double(),), (v,))[1]
    return tangent


def permutahedron_sort_backward(
    grad_output: Tensor,
    input: Tensor,
    regularization_strength: float | Tensor = 1.0,
    method: str = "l2",
    mask: Tensor | None = None,
) -> Tensor:
    """The transposed Jacobian of the sorted values times what comes in."""

    def values(x: Tensor) -> Tensor:
        return soft_sort(x, regularization_strength, method, mask)

    gradient: Tensor = vjp(values, input.double())[1](grad_output.double())[0]
    return gradient


def along(function: Callable[[Tensor], Tensor], direction: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda values: jvp(function, (values,), (direction,))[1]


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
    terms = cdf_derivative(scaled_differences(input, regularization_strength), method, order)
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
    density = cdf_derivative(scaled_differences(input, regularization_strength), method, 1)
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
