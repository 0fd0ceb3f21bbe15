"""A positive number for each item in place of a loss's second derivatives, for Newton's steps.

Boosted trees divide by it. Where a loss is convex in each score it is ∂²L/∂s², the diagonal of the
Hessian: of `pairwise_logistic_loss`, `listnet_loss`, and `auc_loss` but for ``"sigmoid"``.

The others have second derivatives of either sign, but all pull and push along pairs: ∂L/∂s_k is
Σ_j f_jk with f_jk = -f_kj. There the sizes of these forces stand in: h_k = Σ_j |f_jk| / T. What is
a sum of w F(d/T) over pairs has f = w F'(d/T) / T, and h_k = Σ_j w_jk F'(d_jk/T) / T², which is
LambdaRank's, of other weights of pairs. Then

- h_k bounds what the pairs add to ∂²L/∂s_k² where w is held, since |F''| <= F';
- |∂L/∂s_k| <= T h_k, so that no step is longer than the temperature, beyond which the forces are
  others. It is as long where all pairs agree, and short where they pull both ways.

Of losses of soft positions it is no less than this, where less would cost more (`_of_differences`).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rank_relax._strength import checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._ordered_pairs import EqualPairs, OrderedPairs
from rank_relax.losses.auc import AUCLoss
from rank_relax.losses.average_precision import AveragePrecisionLoss, mean_precision
from rank_relax.losses.cosent import CoSENTLoss
from rank_relax.losses.kendall import KendallLoss, share_of_pairs
from rank_relax.losses.listnet import ListNetLoss
from rank_relax.losses.mrr import MRRLoss, reciprocal_rank
from rank_relax.losses.ndcg import NDCGLoss, discounted_gain, gains_and_best
from rank_relax.losses.pairwise_logistic import PairwiseLogisticLoss


def curvature(loss: RankingLoss, lists: Lists) -> Tensor:
    """What is said above of the sum of the lists' losses; roundings may leave it just below 0.

    The lists have no mask, and their scores need no gradient.
    """
    return CURVATURES[type(loss)](loss, lists, _strength(loss))


def least_curvature(loss: RankingLoss, gradient: Tensor) -> Tensor:
    """|∂L/∂s| / T where forces are no smaller, whose sums are rounded; 0 of convex losses."""
    if type(loss) in CONVEX or loss.options.get("surrogate", "sigmoid") != "sigmoid":
        return torch.zeros_like(gradient)
    return gradient.abs() * _strength(loss)


def _strength(loss: RankingLoss) -> float:
    strength = checked_temperature(type(loss).__name__, loss.temperature)
    assert not isinstance(strength, Tensor)
    return strength


def _pairwise_logistic(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    share, total = lists.shares(torch.ones_like(lists.scores))
    kinds = [OrderedPairs(lists)]
    if loss.options["ties"] == "half":
        kinds.append(EqualPairs(lists))
    factor = total**2
    if loss.options["normalize"] == "list":
        weight = torch.stack([pairs.weight(share, share) for pairs in kinds]).sum(0)
        factor = torch.where(weight > 0, weight, 1).reciprocal()
    density = torch.stack([pairs.density_of_each(strength, share) for pairs in kinds]).sum(0)
    return density * strength * lists.to_items(factor)


def _kendall(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    share, _ = lists.shares(torch.ones_like(lists.scores))
    of_labels = OrderedPairs(lists)
    ordered = of_labels.weight(share, share)
    scale = share_of_pairs(lists, share, ordered, loss.options["variant"])
    factor = 2 * scale / torch.where(ordered > 0, ordered, 1)
    return of_labels.density_of_each(strength, share) * strength * lists.to_items(factor)


def _auc(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    """No two scores of one side share a term: the diagonal of a side is H times its ones.

    F', the size of the sigmoid's forces, is the second derivative of the logistic loss.
    """
    surrogate = loss.options["surrogate"]
    surrogate = "logistic" if surrogate == "sigmoid" else surrogate
    scores = lists.scores.detach().requires_grad_()
    total = _total(loss, lists, scores, lists.weights, surrogate=surrogate)
    (slope,) = torch.autograd.grad(total, scores, create_graph=True)
    is_positive = lists.amounts > 0
    of_positive, of_negative = (
        torch.autograd.grad(slope, scores, side.to(slope.dtype), retain_graph=True)[0]
        for side in (is_positive, ~is_positive)
    )
    return torch.where(is_positive, of_positive, of_negative)


def _ndcg(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    k, gain, normalize = (loss.options[name] for name in ("k", "gain", "normalize"))
    gains, most = gains_and_best(lists, k, gain, normalize)
    lists.leave_out_unless(most > 0)
    scale = torch.where(lists.has_loss, most, 1) if normalize else 1

    def total(position: Tensor) -> Tensor:
        return (discounted_gain(lists, gains, position, k) / scale).sum()

    return _of_positions(lists, total, strength)


def _mrr(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    relevance = lists.weighted(lists.amounts)
    lists.leave_out_unless(lists.sum(relevance) > 0)

    def total(position: Tensor) -> Tensor:
        return reciprocal_rank(lists, relevance, position, loss.options["relevant"]).sum()

    return _of_positions(lists, total, strength)


def _average_precision(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    """Of two counts for each relevant item, one of relevant items and one of all.

    With slopes a and b in them and weights w, f is b_k w_j F'/T for an irrelevant j, and
    (c_k w_j - c_j w_k) F'/T for a relevant one, c = a + b.
    """
    relevant = lists.amounts > 0
    weight = lists.weighted(relevant.to(lists.scores.dtype))
    lists.leave_out_unless(lists.sum(weight) > 0)
    own = torch.ones_like(weight) if lists.weights is None else lists.weights
    found = (own + lists.above(strength, relevant, weighted=True)).requires_grad_()
    looked_at = (own + lists.above(strength, weighted=True)).requires_grad_()
    total = mean_precision(lists, relevant, found, looked_at).sum()
    of_found, of_looked_at = torch.autograd.grad(total, (found, looked_at))
    slope = (of_found + of_looked_at).clamp(min=0) / torch.where(weight > 0, weight, 1)
    among_relevant = _of_differences(lists, slope, weight, strength)
    upper, lower = of_looked_at.abs(), own - weight
    of_upper, of_lower = _densities(lists, [lower, upper], strength)
    return torch.add(among_relevant, upper * of_upper + lower * of_lower)


def _listnet(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    """That of a softmax p, p (1 - p) / T²."""
    is_counted = loss.options["shares"] == "proportional"
    amounts = lists.amounts if is_counted else torch.ones_like(lists.amounts)
    has_share = lists.to_items(lists.sum(lists.weighted(amounts)) > 0)
    scaled = lists.scaled(strength)
    share = torch.exp(scaled - lists.to_items(lists.logsumexp(scaled)))
    return torch.where(has_share, share * (1 - share) * strength**2, 0)


def _cosent(loss: RankingLoss, lists: Lists, strength: float) -> Tensor:
    """The forces are q/T, q the share of a pair in 1 + Σ: what its weights add to the loss."""
    weights = torch.ones_like(lists.scores) if lists.weights is None else lists.weights
    weights = weights.detach().requires_grad_()
    (slope,) = torch.autograd.grad(_total(loss, lists, lists.scores, weights), weights)
    return weights.detach() * slope * strength**2


CURVATURES: dict[type[RankingLoss], Callable[[RankingLoss, Lists, float], Tensor]] = {
    NDCGLoss: _ndcg,
    MRRLoss: _mrr,
    AveragePrecisionLoss: _average_precision,
    AUCLoss: _auc,
    KendallLoss: _kendall,
    PairwiseLogisticLoss: _pairwise_logistic,
    ListNetLoss: _listnet,
    CoSENTLoss: _cosent,
}

CONVEX = (PairwiseLogisticLoss, ListNetLoss)


def _of_positions(lists: Lists, total: Callable[[Tensor], Tensor], strength: float) -> Tensor:
    """Of a total of soft positions, whose slopes c in them give f = (c_j - c_k) F'/T."""
    position = (1 + lists.above(strength)).requires_grad_()
    (slope,) = torch.autograd.grad(total(position), position)
    return _of_differences(lists, slope.abs(), torch.ones_like(slope), strength)


def _of_differences(lists: Lists, slope: Tensor, weight: Tensor, strength: float) -> Tensor:
    """At least Σ_j w_k w_j |c_k - c_j| F'(d/T) / T² for c from 0 up, in three sums over the others.

    The smaller of two bounds. Σ w_j (c_k + c_j) F' is exact where one of two c is 0, as of the
    relevant among many that are not; √(Σ w_j F' Σ w_j (c_k - c_j)² F') where all c are near one
    another. The sums of |c_k - c_j| themselves cost log n times as much and teach no better.
    """
    sums = _densities(lists, [weight, weight * slope, weight * slope**2], strength)
    own = weight * strength**2 / 4
    others = (sums[0] - own).clamp(min=0)
    added = slope * others + (sums[1] - own * slope).clamp(min=0)
    squared = sums[2] - 2 * slope * sums[1] + slope**2 * sums[0]
    rounding = torch.finfo(slope.dtype).eps * slope**2 * sums[0]
    return weight * torch.minimum(added, (others * torch.maximum(squared, rounding)).sqrt())


def _densities(lists: Lists, weights: list[Tensor], strength: float) -> Tensor:
    """Σ_j w_j F'(d/T) / T² of each item, itself too, for each of the weights."""
    return lists.weight_above(strength, torch.stack(weights), None, order=1) * strength


def _total(
    loss: RankingLoss, lists: Lists, scores: Tensor, weights: Tensor | None, **changes: str
) -> Tensor:
    return type(loss).function(
        scores,
        lists.keys,
        weights=weights,
        offsets=lists.offsets,
        temperature=loss.temperature,
        **{**loss.options, **changes, "reduction": "sum"},
    )
