"""Correlations of two sides of lists, each item by its share."""

import torch
from torch import Tensor

from rank_relax.losses._lists import Lists


def one_minus_correlation(lists: Lists, share: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """1 - ρ of each list, of which no digit cancels; 1/2 where one side is constant."""
    between = _standardized(lists, share, a) - _standardized(lists, share, b)
    return lists.sum(share * between**2) / 2


def differ(lists: Lists, share: Tensor, ranks: Tensor) -> Tensor:
    """In which lists the ranks of what weighs anything, from 0 up, are not all one."""
    highest = lists.largest(torch.where(share > 0, ranks, 0).detach())
    lower = torch.where(share > 0, lists.to_items(highest) - ranks, 0).detach()
    return ~(lists.largest(lower) <= 0)  # NaN differs


def _standardized(lists: Lists, share: Tensor, items: Tensor) -> Tensor:
    """In units of the standard deviation, around the mean; 0 in lists without one."""
    centred = items - lists.to_items(lists.sum(share * items))
    variance = lists.sum(share * centred**2)
    return centred / lists.to_items(torch.where(variance > 0, variance, 1).sqrt())
