"""Means of losses that leave out the largest, or are of the largest alone."""

import math
from typing import Any

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_reduction
from rank_relax._float64 import has_float64
from rank_relax._scores import strength_beside
from rank_relax._strength import NUMBERS, Strength, as_float, checked_temperature, widest_dtype
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._soft_selection import soft_thresholds

# In units of T: where shares are 0 and 1 to e^-100, and to what a level of float64 is rounded to.
_FAR, _OUT_OF_REACH = 100.0, 32.0


@public
def trimmed_mean(
    losses: Tensor,
    trim: float | tuple[float, float],
    *,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The mean of losses without the largest of them, softly: one that outliers do not move.

    .. math:: L = \frac{1}{1 - \beta} \min_m \Big( \frac1n \sum_i (1 - m_i) \ell_i +
        \frac{T}{n} \sum_i D(m_i \,\|\, \beta) \Big), \qquad \frac1n \sum_i m_i = \beta,
        \quad D(m \,\|\, \beta) = m \ln \frac{m}{\beta} + (1 - m) \ln \frac{1 - m}{1 - \beta}

    with β the share that is left out and T the ``temperature``. The m at which it is least is the
    mask of :func:`rank_relax.soft_topk` for the largest β n, and the weight of a loss in the
    gradient is :math:`(1 - m_i) / (n (1 - \beta))`, never below 0. As T falls this is the trimmed
    mean, as T grows the mean of all, and it lies between the two.

    Args:
        losses: Of items, ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or
            float16. Each last dimension, or each list, has one mean.
        trim: The share of the largest that is left out; or two, (of the smallest, of the largest),
            with 0 <= each and a sum below 1. Where it is no whole number of items, the fraction of
            the next one is left out, so that the mean is continuous in the share. (SciPy's
            ``trim_mean`` rounds down, and has one share for both.)
        mask: Bool, of the shape of ``losses``, true where an item counts.
        weights: How many items each one stands for, from 0 up, of the shape of ``losses``.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the losses: smaller is closer to the trimmed mean, above
            which this is by no more than T H(β) / (1 - β), H(β) = -β ln β - (1 - β) ln (1 - β).
            A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one mean per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``losses``,
        computed in float64. A list in which nothing weighs anything has 0, gradient 0 and no part
        in the mean over lists; one with a loss that is NaN or infinite has NaN. Three times
        differentiable.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Rousseeuw, "Least median of squares regression", 1984, for least trimmed squares; Blondel,
        Teboul, Berthet, Djolonga, "Fast differentiable sorting and ranking", 2020, for a soft one.

    Example:
        >>> import torch, rank_relax
        >>> losses = torch.tensor([0.2, 0.1, 9.0, 0.3, 0.2], requires_grad=True)
        >>> loss = rank_relax.trimmed_mean(losses, 0.2, temperature=0.01)
        >>> loss
        tensor(0.2063, grad_fn=<ToCopyBackward0>)
        >>> loss.backward()
        >>> losses.grad
        tensor([0.2500, 0.2500, 0.0000, 0.2500, 0.2500])
    """
    low, high = checked_trim("trimmed_mean", trim)
    arguments = {"mask": mask, "weights": weights, "offsets": offsets}
    return _mean_between("trimmed_mean", losses, high, 1 - low, temperature, reduction, **arguments)


@public
def cvar(
    losses: Tensor,
    level: float,
    *,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The conditional value at risk of losses, softly: the mean of the worst share of them.

    .. math:: L = \frac{1}{\beta} \max_m \Big( \frac1n \sum_i m_i \ell_i -
        \frac{T}{n} \sum_i D(m_i \,\|\, \beta) \Big), \qquad \frac1n \sum_i m_i = \beta,
        \quad D(m \,\|\, \beta) = m \ln \frac{m}{\beta} + (1 - m) \ln \frac{1 - m}{1 - \beta}

    with β the ``level`` and T the ``temperature``. The m at which it is greatest is the mask of
    :func:`rank_relax.soft_topk` for the largest β n, and the weight of a loss in the gradient is
    :math:`m_i / (\beta n)`: this is convex in the losses, and pushes no item to do worse. As T
    falls it is the mean of the worst share, as T grows that of all, and it lies between the two.

    Args:
        losses: Of items, ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or
            float16. Each last dimension, or each list, has one value.
        level: The share of the worst, above 0 and at most 1: 0.05 for the mean of the worst 5 %,
            which finance calls the CVaR, or expected shortfall, at 95 %. Where it is no whole
            number of items, the last one weighs the fraction.
        mask: Bool, of the shape of ``losses``, true where an item counts.
        weights: How many items each one stands for, from 0 up, of the shape of ``losses``.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the losses: smaller is closer to the mean of the worst
            share, below which this is by no more than T H(β) / β, H(β) = -β ln β - (1 - β) ln
            (1 - β). A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one value per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``losses``,
        computed in float64. A list in which nothing weighs anything has 0, gradient 0 and no part
        in the mean over lists; one with a loss that is NaN or infinite has NaN. Three times
        differentiable.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Rockafellar, Uryasev, "Optimization of conditional value-at-risk", 2000. Levy, Carmon,
        Duchi, Sidford, "Large-scale methods for distributionally robust optimization", 2020, for
        the mean of the worst share as a loss, and one that a relative entropy smooths.

    Example:
        >>> import torch, rank_relax
        >>> losses = torch.tensor([0.2, 0.1, 3.0, 1.0, 0.2], requires_grad=True)
        >>> loss = rank_relax.cvar(losses, 0.3, temperature=0.01)
        >>> loss
        tensor(2.3176, grad_fn=<ToCopyBackward0>)
        >>> loss.backward()
        >>> losses.grad.round(decimals=4)
        tensor([0.0000, 0.0000, 0.6667, 0.3333, 0.0000])
    """
    level = checked_level("cvar", level)
    arguments = {"mask": mask, "weights": weights, "offsets": offsets}
    return _mean_between("cvar", losses, 0.0, level, temperature, reduction, **arguments)


def checked_trim(function: str, trim: Any) -> tuple[float, float]:
    """The shares of the smallest and of the largest that are left out; raises for what is none."""
    shares = trim if isinstance(trim, (tuple, list)) and len(trim) == 2 else (0, trim)
    if any(isinstance(x, bool) or not isinstance(x, NUMBERS) for x in shares):
        raise TypeError(f"{function}: trim must be a number or two, (low, high), got {trim!r}")
    low, high = (as_float(x) for x in shares)
    if not (low >= 0 and high >= 0 and low + high < 1):
        raise ValueError(
            f"{function}: trim must be shares from 0 up whose sum is below 1, got {trim!r}"
        )
    return low, high


def checked_level(function: str, level: Any) -> float:
    """The share of the worst; raises for what is none."""
    if isinstance(level, bool) or not isinstance(level, NUMBERS):
        raise TypeError(f"{function}: level must be a number, got {level!r}")
    if not 0 < as_float(level) <= 1:
        raise ValueError(
            f"{function}: level must be the share of the worst, above 0 and at most 1, got "
            f"{level!r}"
        )
    return as_float(level)


def _mean_between(
    function: str,
    losses: Tensor,
    low: float,
    high: float,
    temperature: Strength,
    reduction: Reduction,
    *,
    mask: Tensor | None,
    weights: Tensor | None,
    offsets: Tensor | None,
) -> Tensor:
    """The mean of what lies between two shares of the worst, softly."""
    strength = checked_temperature(function, temperature)
    check_reduction(function, reduction)
    lists = Lists(
        function,
        losses,
        None,
        mask=mask,
        weights=weights,
        offsets=offsets,
        scores_name="losses",
    )
    lists.refuse_infinite()
    lists.scores = lists.scores.to(widest_dtype(losses.device))
    share, total = lists.shares(torch.ones_like(lists.scores))
    lists.leave_out_unless(total > 0)
    if isinstance(strength, Tensor):
        strength = strength_beside(lists.scores, strength)
    scaled = lists.counting(lists.scores) * strength
    means = _scaled_mean_between(lists, scaled, share, low, high) / strength
    return lists.reduced(means, reduction)


def _scaled_mean_between(lists: Lists, x: Tensor, share: Tensor, low: float, high: float) -> Tensor:
    """That of losses x in units of T.

    Between the shares a < b of the worst, which have the thresholds c_a > c_b, it is
    (Σ_i w_i (S(x_i - c_b) - S(x_i - c_a)) + b c_b - H(b) - a c_a + H(a)) / (b - a), with
    S(d) = log(1 + e^d) and H the entropy; with a = 0 and b = 1 what remains in the limit.
    """
    inner = [level for level in (low, high) if 0 < level < 1]
    if not inner:
        return lists.sum(share * x)
    found = _thresholds(lists, x, share, inner)
    upper = _near(lists, x, share, found[..., 0], below=True) if low > 0 else None
    lower = _near(lists, x, share, found[..., -1], below=False) if high < 1 else None
    rest = x.new_zeros(()) + _entropy(low) - _entropy(high)
    if upper is not None:
        rest = rest - low * upper
        above = lists.to_items(upper)
    if lower is not None:
        rest = rest + high * lower
        below = lists.to_items(lower)
    if upper is None:
        items = _softplus(x - below)
    elif lower is None:
        # x - S(x - c), of which an outlier takes no digit.
        items, rest = -_softplus(above - x), rest + upper
    else:
        items = torch.where(
            2 * x < (above + below).detach(),
            _softplus(x - below) - _softplus(x - above),
            above - below + _softplus(below - x) - _softplus(above - x),
        )
    return (lists.sum(share * items) + rest) / (high - low)


def _thresholds(lists: Lists, x: Tensor, share: Tensor, levels: list[float]) -> Tensor:
    """The thresholds of soft selections of these shares, ``[..., K]``."""
    if lists.weights is not None or lists.offsets is not None or not has_float64(x.device):
        return soft_thresholds(lists, x, share, levels)
    number = lists.sum(lists.counting(torch.ones_like(x))).unsqueeze(-1)
    below = number * (1 - torch.tensor(levels, dtype=x.dtype, device=x.device))
    # The share 1/7 of 7 items is one.
    whole = below.round()
    below = torch.where((below - whole).abs() < 8e-15 * number, whole, below)
    thresholds: Tensor = torch.ops.rank_relax._quantile_at_levels.default(
        x, below, 1.0, "sigmoid", lists.mask
    )
    return torch.where(thresholds.isfinite(), thresholds, 0)  # of no item


def _near(lists: Lists, x: Tensor, share: Tensor, threshold: Tensor, *, below: bool) -> Tensor:
    """A threshold in a wide gap where the side is that stays in the mean, and not the outliers.

    There nothing depends on where in the gap it is, but the digits that its product costs.
    """
    items, middle = x.detach(), threshold.detach()
    is_below = items <= lists.to_items(middle)
    last, _ = lists.ends(items, is_below & (share > 0))
    _, first = lists.ends(items, ~is_below & (share > 0))
    if below:
        near = last + _FAR
        is_far = (middle > near) & (first - middle > _OUT_OF_REACH)
    else:
        near = first - _FAR
        is_far = (middle < near) & (middle - last > _OUT_OF_REACH)
    return torch.where(is_far & near.isfinite(), near, threshold)


def _softplus(d: Tensor) -> Tensor:
    """log(1 + e^d); torch.nn.functional.softplus has d above 20, which is 2e-9 off."""
    return -torch.nn.functional.logsigmoid(-d)


def _entropy(level: float) -> float:
    """That of a coin, in nats."""
    if level in (0, 1):
        return 0.0
    return -level * math.log(level) - (1 - level) * math.log1p(-level)


class _MeanOfLosses(RankingLoss):
    """A mean of losses, which have no labels, as a module."""

    def forward(  # type: ignore[override]
        self,
        losses: Tensor,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Returns the function of these losses, with the module's options."""
        return type(self).function(
            losses,
            mask=mask,
            weights=weights,
            offsets=offsets,
            temperature=self.temperature,
            **self.options,
        )


class TrimmedMean(_MeanOfLosses):
    """The mean of losses without the largest of them, softly, as a module.

    Args:
        trim: The share of the largest that is left out, or two, as in :func:`trimmed_mean`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``losses``, ``mask`` and ``weights`` of one shape; returns a scalar, or one mean per list
        for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`trimmed_mean` would refuse; when called, as
            it does.

    References:
        Those of :func:`trimmed_mean`.

    Example:
        >>> import torch, rank_relax
        >>> mean = rank_relax.TrimmedMean((0.25, 0.25), temperature=0.01)
        >>> mean(torch.tensor([0.2, -7.0, 9.0, 0.4]))
        tensor(0.3000)
    """

    function = staticmethod(trimmed_mean)

    def __init__(
        self,
        trim: float | tuple[float, float],
        *,
        temperature: Strength = 0.1,
        reduction: Reduction = "mean",
    ) -> None:
        checked_trim("TrimmedMean", trim)
        check_reduction("TrimmedMean", reduction)
        super().__init__(temperature, trim=trim, reduction=reduction)


class CVaR(_MeanOfLosses):
    """The mean of the worst share of losses, softly, as a module.

    Args:
        level: The share of the worst, as in :func:`cvar`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``losses``, ``mask`` and ``weights`` of one shape; returns a scalar, or one value per list
        for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`cvar` would refuse; when called, as it
            does.

    References:
        Those of :func:`cvar`.

    Example:
        >>> import torch, rank_relax
        >>> worst = rank_relax.CVaR(0.5, temperature=0.01)
        >>> worst(torch.tensor([0.2, 1.0, 3.0, 0.4]))
        tensor(1.9861)
    """

    function = staticmethod(cvar)

    def __init__(
        self, level: float, *, temperature: Strength = 0.1, reduction: Reduction = "mean"
    ) -> None:
        checked_level("CVaR", level)
        check_reduction("CVaR", reduction)
        super().__init__(temperature, level=level, reduction=reduction)
