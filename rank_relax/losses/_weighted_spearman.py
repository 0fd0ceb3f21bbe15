"""Spearman's correlation of items that weigh different amounts."""

import torch
from torch import Tensor

from rank_relax._checks import SmoothCdf
from rank_relax._scores import Scale, strength_beside
from rank_relax._strength import Strength, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.losses._correlation import differ, one_minus_correlation
from rank_relax.losses._lists import Lists

# In units of 1/α. Ranks of narrower lists differ by little more than counts are rounded to, but the
# loss no longer depends on their width: by its square, and by Laplace's kink in proportion to it.
_NARROW = {"sigmoid": 1e-5, "gaussian": 1e-5, "laplace": 1e-7, "cauchy": 1e-5}


def weighted_spearman_loss(
    predictions: Tensor,
    targets: Tensor,
    weights: Tensor,
    strength: Strength,
    method: SmoothCdf,
    mask: Tensor | None,
    scale: Scale,
    target_ranks: str,
    offsets: Tensor | None,
) -> Tensor:
    """One minus the weighted correlation of weighted ranks, one a list.

    The weighted rank of an item is what weighs less than it, and half of what is equal, itself too:
    Σ_{j ≠ i} w_j F(α (x_i - x_j)) + w_i / 2. All but the hard ranks of targets is float64.
    """

    def lists_of(items: Tensor, name: str, others: Tensor, name_of_others: str) -> Lists:
        return Lists(
            "spearman_loss",
            items,
            others,
            mask=mask,
            weights=weights,
            offsets=offsets,
            scores_name=name,
            labels_name=name_of_others,
        )

    lists = lists_of(predictions, "predictions", targets, "targets")
    share, _ = lists.shares(torch.ones_like(lists.scores, dtype=widest_dtype(predictions.device)))
    several = lists.sum((share > 0).to(share.dtype)) > 1
    lists.leave_out_unless(several)
    rank = _soft_rank(lists, share, strength, method, scale)
    if target_ranks == "hard":
        above, equal = lists.hard_above(lists.keys, share)
        rank_of_targets = 1 - above - equal / 2
    else:
        other = lists_of(targets, "targets", predictions, "predictions")
        other.leave_out_unless(several)
        rank_of_targets = _soft_rank(other, share, strength, method, scale)
    losses = one_minus_correlation(lists, share, rank, rank_of_targets)
    both_differ = differ(lists, share, rank) & differ(lists, share, rank_of_targets)
    losses = lists.reduced(torch.where(both_differ, losses, 1), "none")
    return losses if target_ranks == "hard" else other.reduced(losses, "none")


def _soft_rank(
    lists: Lists, share: Tensor, strength: Strength, method: SmoothCdf, scale: Scale
) -> Tensor:
    """What lies below each item, from 0 to 1, of items that weigh a share."""
    scores = _scaled(lists, share, strength, scale)
    scores = scores * lists.to_items(_widening(lists, share, scores.detach(), _NARROW[method]))
    return soft_count(scores, scores, share, method=method, mask=lists.mask, offsets=lists.offsets)


def _scaled(lists: Lists, share: Tensor, strength: Strength, scale: Scale) -> Tensor:
    """The scores in units of 1/α, around the middle of their list."""
    lists.scores = lists.scores.to(share.dtype)
    if isinstance(strength, Tensor):
        strength = strength_beside(lists.scores, strength)
        strength = torch.where((strength > 0) & strength.isfinite(), strength, torch.nan)
    if scale is None:
        return lists.scaled(strength)
    scores = lists.scaled(1.0)
    finite = scores.isfinite()
    of_finite = torch.where(finite, share, 0)
    total = lists.sum(of_finite)
    of_finite = of_finite / lists.to_items(torch.where(total > 0, total, 1))
    numbers = torch.where(finite, scores, 0)
    centred = numbers - lists.to_items(lists.sum(of_finite * numbers))
    variance = lists.sum(of_finite * centred**2)
    factor = strength / torch.where(variance > 0, variance, 1).sqrt()
    return torch.where(finite, numbers * lists.to_items(factor), scores)


def _widening(lists: Lists, share: Tensor, scores: Tensor, narrow: float) -> Tensor:
    """What makes lists narrow that are narrower, 1 for the others."""
    highest, lowest = lists.ends(scores, share > 0)
    width = highest - lowest
    is_narrower = (width > 0) & (width < narrow)
    return torch.where(
        is_narrower, narrow / torch.where(is_narrower, width, 1).clamp(min=1e-300), 1
    )
