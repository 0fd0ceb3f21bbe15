"""The losses in plain torch, as they are written where nothing better is at hand.

Each takes ``[rows, n]`` and gives one loss a row. Those of pairs make a table ``[rows, n, n]``.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def differences(scores: Tensor) -> Tensor:
    """s_j - s_i, [..., i, j]."""
    return scores[..., None, :] - scores[..., :, None]


def positions(scores: Tensor, temperature: float) -> Tensor:
    """Soft ranks, 1 for the highest."""
    return torch.sigmoid(differences(scores) / temperature).sum(-1) + 0.5


def discounts(scores: Tensor) -> Tensor:
    """Of the places from the first to the last."""
    return torch.arange(2, scores.shape[-1] + 2).to(scores.dtype).log2().reciprocal()


def largest_gain(gains: Tensor) -> Tensor:
    return (gains.sort(-1, descending=True).values * discounts(gains)).sum(-1)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))


def hard_ranks(x: Tensor) -> Tensor:
    """From 1 up; the labels here have no ties."""
    return x.argsort(-1).argsort(-1).to(x.dtype) + 1


def ordered(labels: Tensor) -> Tensor:
    """Whether y_i > y_j, [..., i, j]."""
    return labels[..., :, None] > labels[..., None, :]


def spearman(scores: Tensor, labels: Tensor) -> Tensor:
    return spearman_at(positions(scores, 1.0), labels)


def spearman_at(places: Tensor, labels: Tensor) -> Tensor:
    return 1 - correlation(places, -hard_ranks(labels))


def ndcg(scores: Tensor, labels: Tensor) -> Tensor:
    return ndcg_at(positions(scores, 0.1), labels)


def ndcg_at(places: Tensor, labels: Tensor) -> Tensor:
    gains = 2**labels - 1
    found = (gains / torch.log2(1 + places)).sum(-1)
    return 1 - found / largest_gain(gains)


def mrr(scores: Tensor, labels: Tensor) -> Tensor:
    return 1 - (labels / positions(scores, 0.1)).amax(-1)


def adr_mse(scores: Tensor, labels: Tensor) -> Tensor:
    place = labels.shape[-1] + 1 - hard_ranks(labels)
    return ((place - positions(scores, 1.0)) ** 2 / torch.log2(1 + place)).mean(-1)


def average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    above = torch.sigmoid(differences(scores) / 0.01)
    relevant = (above * labels[..., None, :]).sum(-1) + 0.5
    return average_precision_at(above.sum(-1) + 0.5, relevant, labels)


def average_precision_at(places: Tensor, of_relevant: Tensor, labels: Tensor) -> Tensor:
    """The second is the place among relevant items alone."""
    return 1 - (labels * of_relevant / places).sum(-1) / labels.sum(-1)


def auc(scores: Tensor, labels: Tensor) -> Tensor:
    pairs = labels[..., :, None] * (1 - labels)[..., None, :]
    return (pairs * torch.sigmoid(differences(scores))).sum((-2, -1)) / pairs.sum((-2, -1))


def pairwise_logistic(scores: Tensor, labels: Tensor) -> Tensor:
    pairs = ordered(labels)
    return (pairs * softplus(differences(scores))).sum((-2, -1)) / pairs.sum((-2, -1))


def lambda_rank(scores: Tensor, labels: Tensor, first: int | None = None) -> Tensor:
    """Of pairs with one at least of the ``first`` places."""
    gains, discount = 2**labels - 1, discounts(scores)
    most = (gains.sort(-1, descending=True).values * discount)[..., :first].sum(-1)
    order = scores.detach().argsort(-1, descending=True)
    s, y, g = (x.gather(-1, order) for x in (scores, labels, gains))
    pairs = ordered(y)
    if first is not None:
        pairs[..., first:, first:] = False
    weight = differences(discount).abs() * differences(g).abs()
    return (pairs * weight * softplus(differences(s))).sum((-2, -1)) / most


def lambda_rank_at_10(scores: Tensor, labels: Tensor) -> Tensor:
    return lambda_rank(scores, labels, 10)


def kendall(scores: Tensor, labels: Tensor) -> Tensor:
    pairs = ordered(labels)
    n = scores.shape[-1]
    most = (pairs.sum((-2, -1)) * (n * (n - 1) / 2)).sqrt()
    return 1 - (pairs * (1 - 2 * torch.sigmoid(differences(scores)))).sum((-2, -1)) / most


def concordance(scores: Tensor, times: Tensor, events: Tensor) -> Tensor:
    pairs = (times[..., :, None] < times[..., None, :]) & events[..., :, None]
    discordant = (pairs * torch.sigmoid(differences(scores))).sum((-2, -1))
    return discordant / pairs.sum((-2, -1))


def listnet(scores: Tensor, labels: Tensor) -> Tensor:
    return -(torch.softmax(labels, -1) * torch.log_softmax(scores, -1)).sum(-1)


def listmle(scores: Tensor, labels: Tensor) -> Tensor:
    ranked = scores.gather(-1, labels.argsort(-1))  # the lowest first
    return (torch.logcumsumexp(ranked, -1) - ranked).sum(-1)


def cosent(scores: Tensor, labels: Tensor) -> Tensor:
    wrong = torch.where(ordered(labels), differences(scores) / 0.05, -torch.inf).flatten(-2)
    return softplus(wrong.logsumexp(-1), threshold=100)


def normal_scores(scores: Tensor, labels: Tensor) -> Tensor:
    n = scores.shape[-1]
    ours, theirs = n + 1 - positions(scores, 1.0), hard_ranks(labels)
    return 1 - correlation(*(torch.special.ndtri((r - 0.375) / (n + 0.25)) for r in (ours, theirs)))
