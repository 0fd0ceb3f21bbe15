"""The concordance index of survival times as a loss."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import (
    Reduction,
    check_items,
    check_reduction,
    check_same_shape,
    check_tensor,
)
from rank_relax._strength import Strength, checked_temperature, widest_dtype
from rank_relax.losses._lists import Lists, check_labels
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._ordered_pairs import OrderedPairs


@public
def concordance_loss(
    scores: Tensor,
    times: Tensor,
    events: Tensor,
    *,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the concordance index of right-censored times, with soft comparisons of scores.

    .. math:: L = 1 - \frac{\sum_{(i, j)} w_i F((s_i - s_j) / T)}{\sum_{(i, j)} w_i}

    over the comparable pairs, in which i is known to be the earlier: i has an event, and j a later
    time, or the same time and no event. F is the logistic function, T the ``temperature``; scores
    are risks, higher for an earlier event. As T falls this is one minus Harrell's C, and with
    :func:`ipcw_weights` one minus Uno's. On the CPU in O(n log n) time and O(n) memory; elsewhere
    the sums go over all pairs, in bounded memory.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        times: Of the event or of the censoring, of the shape of ``scores`` and any real dtype.
        events: Above 0 for an event, 0 for a censored time, of the shape of ``scores`` and any real
            dtype.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the pairs in which an item is the one with the event, from 0 up, of the shape of
            ``scores``.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N: strata,
            with ``reduction="none"``, have their own indices.
        temperature: T > 0, in units of the scores: smaller is closer to the index. A 0-dim tensor
            makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without a comparable pair has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Harrell, Califf, Pryor, Lee, Rosati, "Evaluating the yield of medical tests", 1982. Uno,
        Cai, Pencina, D'Agostino, Wei, "On the C-statistics for evaluating overall adequacy of risk
        prediction procedures with censored survival data", 2011.

    Example:
        >>> import torch, rank_relax
        >>> risks, times = torch.tensor([2.0, 0.5, 1.0, 0.0]), torch.tensor([3.0, 5.0, 6.0, 6.0])
        >>> events = torch.tensor([True, True, False, True])
        >>> rank_relax.concordance_loss(risks, times, events)
        tensor(0.3836)
        >>> rank_relax.concordance_loss(risks, times, events, temperature=0.01)
        tensor(0.3333)
    """
    strength = checked_temperature("concordance_loss", temperature)
    check_reduction("concordance_loss", reduction)
    lists = Lists(
        "concordance_loss",
        scores,
        times,
        mask=mask,
        weights=weights,
        offsets=offsets,
        labels_name="times",
    )
    check_tensor("concordance_loss", "events", events)
    events = events.values() if events.is_nested else events
    check_labels("concordance_loss", "events", events, lists.given)
    has_event = lists.counting(events > 0).long()
    if events.is_floating_point():
        unknown = lists.counting(events.isnan()).to(lists.scores.dtype)
        lists.unknown = lists.unknown | (lists.sum(unknown) > 0)
    # Higher for an earlier time, and at one time for an event: what is compared, exactly.
    lists.keys = has_event - 2 * lists.dense_rank(lists.keys)
    earlier, _ = lists.shares(has_event.to(lists.scores.dtype))
    later = lists.counting(torch.ones_like(lists.scores))
    of_times = OrderedPairs(lists)
    comparable = of_times.weight(earlier, later)
    has_pairs = comparable > 0
    lists.leave_out_unless(has_pairs)
    discordant = of_times.sum(strength, earlier, later, 0)
    return lists.reduced(discordant / torch.where(has_pairs, comparable, 1), reduction)


@public
def ipcw_weights(times: Tensor, events: Tensor) -> Tensor:
    r"""Weights that undo censoring in :func:`concordance_loss`: inverse probabilities of it.

    .. math:: w_i = 1 / G(t_i)^2

    for events and 0 for censored times, with G the Kaplan-Meier estimate, from the same list, of
    the probability not to be censored up to a time, that time included. Made once, of all that a
    model is trained with; batches then take theirs from it.

    Args:
        times: Of the event or of the censoring, ``[..., n]``, of any real dtype.
        events: Above 0 for an event, of the shape of ``times`` and any real dtype.

    Returns:
        Weights of the shape of ``times``, float64 (float32 on devices without it). Infinite for an
        event at a time from which on all are censored: cut off the times there.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a shape that is not listed here.

    References:
        Uno, Cai, Pencina, D'Agostino, Wei, "On the C-statistics for evaluating overall adequacy of
        risk prediction procedures with censored survival data", 2011.

    Example:
        >>> import torch, rank_relax
        >>> times, events = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1, 0, 1, 1])
        >>> rank_relax.ipcw_weights(times, events)
        tensor([1.0000, 0.0000, 2.2500, 2.2500], dtype=torch.float64)
    """
    check_items("ipcw_weights", "times", times)
    check_items("ipcw_weights", "events", events)
    check_same_shape("ipcw_weights", "events", events, "times", times)
    # At one time events come first: who is censored then was at risk of it after them.
    event = (events > 0).to(widest_dtype(times.device))
    order = torch.argsort(event, dim=-1, descending=True, stable=True)
    order = order.gather(-1, torch.argsort(times.gather(-1, order), dim=-1, stable=True))
    at_risk = torch.arange(times.shape[-1], 0, -1, device=times.device).to(event.dtype)
    stays = torch.where(event.gather(-1, order) > 0, 1, (at_risk - 1) / at_risk).cumprod(-1)
    after = torch.searchsorted(times.gather(-1, order), times.contiguous(), right=True)
    uncensored = stays.gather(-1, (after - 1).clamp(min=0)) if times.shape[-1] else stays
    return torch.where(event > 0, uncensored**-2, 0)


class ConcordanceLoss(RankingLoss):
    """One minus the concordance index of right-censored times, as a module.

    Args:
        temperature: As in :func:`concordance_loss`. A ``nn.Parameter`` is learnt; another 0-dim
            tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``times``, ``events``, ``mask`` and ``weights`` of one shape; returns a scalar,
        or one loss per list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`concordance_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`concordance_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.ConcordanceLoss(temperature=0.1)
        >>> loss(torch.tensor([0.3, 0.1]), torch.tensor([2, 5]), torch.tensor([True, False]))
        tensor(0.1192)
    """

    function = staticmethod(concordance_loss)

    def __init__(self, *, temperature: Strength = 1.0, reduction: Reduction = "mean") -> None:
        check_reduction("ConcordanceLoss", reduction)
        super().__init__(temperature, reduction=reduction)

    def forward(  # type: ignore[override]
        self,
        scores: Tensor,
        times: Tensor,
        events: Tensor,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Returns :func:`concordance_loss` of these lists, with the module's options."""
        return concordance_loss(
            scores,
            times,
            events,
            mask=mask,
            weights=weights,
            offsets=offsets,
            temperature=self.temperature,
            **self.options,
        )
