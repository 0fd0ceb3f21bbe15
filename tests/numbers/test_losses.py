"""The ranking losses against their definitions, item by item and pair by pair in float64."""

import functools
import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import rank_relax

nan, inf = torch.nan, torch.inf


def positions(scores: Tensor, temperature: float) -> Tensor:
    """1 for the highest: one and the sigmoids of the differences to the others."""
    above = torch.sigmoid((scores[None, :] - scores[:, None]) / temperature)
    return 1 + above.sum(-1) - above.diagonal()


def ndcg(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 0.1,
    k: int | None = None,
    gain: str | Callable[[Tensor], Tensor] = "exp2",
    normalize: bool = True,
) -> Tensor | None:
    gains = {"exp2": lambda y: 2**y - 1, "linear": lambda y: y}.get(gain, gain)(labels) * weights
    position = positions(scores, temperature)
    shares = gains / torch.log2(1 + position)
    best = sorted(gains.tolist(), reverse=True)[:k]
    most = sum(gain / math.log2(2 + i) for i, gain in enumerate(best))
    if k is not None:
        shares = shares * (k + 1 - position).clamp(0, 1)
    if most == 0:
        return None
    return 1 - shares.sum() / most if normalize else -shares.sum()


def mrr(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 0.1,
    relevant: str = "first",
) -> Tensor | None:
    relevance = labels * weights
    reciprocal = 1 / positions(scores, temperature)
    if not (relevance > 0).any():
        return None
    if relevant == "first":
        return 1 - reciprocal[relevance > 0].max()
    return 1 - (relevance * reciprocal).sum() / relevance.sum()


def average_precision(
    scores: Tensor, labels: Tensor, weights: Tensor, temperature: float = 0.01
) -> Tensor | None:
    total, found = scores.new_zeros(()), 0.0
    for i in range(len(scores)):
        if labels[i] <= 0 or weights[i] == 0:
            continue
        relevant = every = weights[i]
        for j in range(len(scores)):
            if j != i:
                above = weights[j] * torch.sigmoid((scores[j] - scores[i]) / temperature)
                every = every + above
                relevant = relevant + above * (labels[j] > 0)
        total, found = total + weights[i] * relevant / every, found + weights[i]
    return 1 - total / found if found else None


def auc(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    surrogate: str = "sigmoid",
    margin: float = 1.0,
) -> Tensor | None:
    of_pair: Callable[[Tensor], Tensor] = {
        "sigmoid": lambda d: torch.sigmoid(-d),
        "logistic": lambda d: torch.nn.functional.softplus(-d),
        "squared": lambda d: (margin - d) ** 2,
        "squared_hinge": lambda d: (margin - d).clamp(min=0) ** 2,
    }[surrogate]
    positive = labels > 0
    differences = (scores[positive][:, None] - scores[~positive][None, :]) / temperature
    pairs = weights[positive][:, None] * weights[~positive][None, :]
    if pairs.sum() == 0:
        return None
    return (pairs * of_pair(differences)).sum() / pairs.sum()


def partial_auc(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    fpr: float | tuple[float, float] = 0.2,
    selection: str = "hard",
    **of_pair: Any,
) -> Tensor | None:
    low, high = fpr if isinstance(fpr, tuple) else (0.0, fpr)
    negative = labels <= 0
    if weights[negative].sum() == 0:
        return None
    share, items = weights[negative] / weights[negative].sum(), scores[negative]
    if selection == "hard":
        above = ((items[None, :] > items[:, None]) * share).sum(-1)
        equal = ((items[None, :] == items[:, None]) * share).sum(-1)
        inside = ((above + equal).clamp(max=high) - above.clamp(min=low)).clamp(min=0)
        selected = inside / torch.where(equal > 0, equal, 1)
    else:
        selected = selected_softly(items / temperature, share, high)
        selected = selected - selected_softly(items / temperature, share, low)
    selecting = weights.clone()
    selecting[negative] = share * selected
    return auc(scores, labels, selecting, temperature, **of_pair)


def selected_softly(items: Tensor, share: Tensor, level: float) -> Tensor:
    if level in (0, 1):
        return torch.full_like(items, level)

    def above(threshold: Any) -> Tensor:
        return (share * torch.sigmoid(items - threshold)).sum()

    low, high = -1e3, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > level else (low, middle)
    # Its derivative is that of the function which it is a zero of.
    rise = (share * torch.sigmoid(items - low) * torch.sigmoid(low - items)).sum().detach()
    return torch.sigmoid(items - (low + (above(low) - level) / rise))


def topk_cross_entropy(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    probabilities: tuple[float, ...] = (0.5, 0.0, 0.0, 0.0, 0.5),
) -> Tensor | None:
    share, n = weights * labels, len(scores)
    if share.sum() == 0:
        return None
    inside = torch.zeros_like(scores)
    for k, p in enumerate(probabilities, 1):
        of_k = selected_softly(scores / temperature, torch.ones(n).double() / n, min(k / n, 1))
        inside = inside + p * of_k
    return -(share * torch.log(inside)).sum() / share.sum()


def listnet(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    shares: str = "softmax",
) -> Tensor | None:
    share = weights * (torch.softmax(labels, -1) if shares == "softmax" else labels)
    if share.sum() == 0:
        return None
    return -(share / share.sum() * torch.log_softmax(scores / temperature, -1)).sum()


def ordered_pairs(labels: Tensor, weights: Tensor) -> Tensor:
    return (labels[:, None] > labels[None, :]) * weights[:, None] * weights[None, :]


def cosent(
    scores: Tensor, labels: Tensor, weights: Tensor, temperature: float = 0.05
) -> Tensor | None:
    pairs = ordered_pairs(labels, weights)
    if pairs.sum() == 0:
        return None
    wrong = (scores[None, :] - scores[:, None]) / temperature
    return torch.log1p((pairs[pairs > 0] * torch.exp(wrong[pairs > 0])).sum())


def pairwise_logistic(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    normalize: str = "list",
    ties: str = "ignore",
) -> Tensor | None:
    pairs = ordered_pairs(labels, weights)
    if ties == "half":
        equal = (labels[:, None] == labels[None, :]) & ~torch.eye(len(labels), dtype=torch.bool)
        pairs = pairs + equal * weights[:, None] * weights[None, :] / 2
    if pairs.sum() == 0:
        return None
    differences = (scores[:, None] - scores[None, :]) / temperature
    total = (pairs * torch.nn.functional.softplus(-differences)).sum()
    return total / pairs.sum() if normalize == "list" else total


def kendall(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    variant: str = "b",
) -> Tensor | None:
    pairs = ordered_pairs(labels, weights)
    if pairs.sum() == 0:
        return None
    differences = (scores[:, None] - scores[None, :]) / temperature
    products = weights[:, None] * weights[None, :]
    every = products.triu(1).sum()
    most = every if variant == "a" else (every * pairs.sum()).sqrt()
    return 1 - (pairs * (2 * torch.sigmoid(differences) - 1)).sum() / most


def hard_ranks(items: Tensor) -> Tensor:
    """1 for the highest, averages for equal ones."""
    above = (items[None, :] > items[:, None]).sum(-1)
    equal = (items[None, :] == items[:, None]).sum(-1)
    return above + (equal.double() + 1) / 2


def adr_mse(
    scores: Tensor, labels: Tensor, weights: Tensor, temperature: float = 1.0
) -> Tensor | None:
    # That of sentence-transformers 6.2, which has neither weights nor lists of their own: there the
    # mean is over the items of all lists, and the strength is alpha = 1 / temperature.
    if weights.sum() == 0:
        return None
    rank = hard_ranks(labels)
    errors = (rank - positions(scores, temperature)) ** 2 / torch.log2(rank + 1)
    return (weights * errors).sum() / weights.sum()


def normal_scores(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    variant: str = "blom",
) -> Tensor | None:
    if (weights > 0).sum() == 0 or len(labels[weights > 0].unique()) == 1:
        return None
    rank = len(scores) + 1 - positions(scores, temperature)
    if variant == "blom":
        label_rank = len(scores) + 1 - hard_ranks(labels)
        sides = [normal_quantile((r - 0.375) / (len(scores) + 0.25)) for r in (rank, label_rank)]
    else:
        centred = labels - (weights * labels).sum() / weights.sum()
        sides = [normal_quantile((rank - 0.5) / len(scores)), centred]
        sides = [x.sign() * x.abs() ** 1.5 for x in sides]
    return 1 - pearson(*sides, weights)


def normal_quantile(levels: Tensor) -> Tensor:
    return math.sqrt(2) * torch.erfinv(2 * levels - 1)


def pearson(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    x, y = (side - (weights * side).sum() / weights.sum() for side in (x, y))
    squares = (weights * x**2).sum() * (weights * y**2).sum()
    return (weights * x * y).sum() / squares.sqrt()


def concordance_of_times(
    scores: Tensor, times: Tensor, events: Tensor, weights: Tensor, temperature: float = 1.0
) -> Tensor | None:
    total, pairs = scores.new_zeros(()), 0.0
    for i, j in itertools.product(range(len(scores)), repeat=2):
        later = times[j] > times[i] or (times[j] == times[i] and not events[j])
        if events[i] and later and weights[i] > 0:
            total = total + weights[i] * torch.sigmoid((scores[j] - scores[i]) / temperature)
            pairs = pairs + weights[i]
    return total / pairs if pairs else None


def concordance(
    scores: Tensor, labels: Tensor, weights: Tensor, temperature: float = 1.0
) -> Tensor | None:
    return concordance_of_times(scores, labels, labels != 1, weights, temperature)


def concordance_loss(scores: Tensor, labels: Tensor, **arguments: Any) -> Tensor:
    """The loss of two arguments: labels are times, those of 1 are censored."""
    result: Tensor = rank_relax.concordance_loss(scores, labels, labels != 1, **arguments)
    return result


def listmle(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    ties: str = "efron",
    position_weights: str = "uniform",
) -> Tensor | None:
    scores, labels, weights = (x[weights > 0] for x in (scores / temperature, labels, weights))
    n = len(scores)
    if n < 2:
        return None
    of_place = [2.0 ** (n - k) - 1 for k in range(1, n + 1)]
    of_place = [p / sum(of_place) for p in of_place] if position_weights == "exp2" else [1.0] * n
    masses, total, place = weights * torch.exp(scores), scores.new_zeros(()), 0
    for label in labels.unique().flip(0):
        equal = labels == label
        shared = of_place[place : place + int(equal.sum())]
        for done, p in enumerate(shared):
            gone = done / len(shared) if ties == "efron" else 0.0
            left = masses[labels <= label].sum() - gone * masses[equal].sum()
            total = total + p * weights[equal].mean() * left.log()
        total = total - sum(shared) / len(shared) * (weights * scores)[equal].sum()
        place += len(shared)
    return total


def lambda_rank(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 1.0,
    scheme: str = "lambdarank",
    k: int | None = None,
    gain: str | Callable[[Tensor], Tensor] = "exp2",
    mu: float = 10.0,
) -> Tensor | None:
    """As allRank and sentence-transformers, but with the natural logarithm.

    And pairs with one item among the first k, not two, with the discounts of places after them.
    """
    gains = {"exp2": lambda y: 2**y - 1, "linear": lambda y: y}.get(gain, gain)(labels)
    order = scores.argsort(descending=True, stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(1, len(scores) + 1)
    best = gains.sort(descending=True).values[:k]
    most = (best / torch.log2(torch.arange(2, len(best) + 2).double())).sum()
    pairs = ordered_pairs(labels, weights)
    if pairs.sum() == 0:
        return None
    discount = 1 / torch.log2(1.0 + place.double())
    apart = (place[:, None] - place[None, :]).abs().double()
    ndcg2 = 1 / torch.log2(1 + apart.clamp(min=1)) - 1 / torch.log2(2 + apart)
    lambdarank = (discount[:, None] - discount[None, :]).abs()
    delta = {"ndcg2": ndcg2, "lambdarank": lambdarank, "ndcg2++": mu * ndcg2 + lambdarank}[scheme]
    if k is not None:
        delta = delta * ((place[:, None] <= k) | (place[None, :] <= k))
    losses = torch.nn.functional.softplus((scores[None, :] - scores[:, None]) / temperature)
    return (pairs * (gains[:, None] - gains[None, :]) / most * delta * losses).sum()


def among_first(scores: Tensor, k: int) -> Tensor:
    n = len(scores)
    return selected_softly(scores, torch.ones(n).double() / n, min(k / n, 1))


def precision_at_k(
    scores: Tensor, labels: Tensor, weights: Tensor, temperature: float = 0.01, k: int = 3
) -> Tensor | None:
    if (weights * (labels > 0)).sum() == 0:
        return None
    masses = weights * among_first(scores / temperature, k)
    return 1 - (masses * (labels > 0)).sum() / masses.sum() * min(len(scores), k) / k


def recall_at_k(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor,
    temperature: float = 0.01,
    k: int | tuple[int, ...] = 3,
    variant: str = "topk",
    capped: bool = False,
    rank_temperature: float | tuple[float, ...] = 1.0,
) -> Tensor | None:
    relevant = weights * (labels > 0)
    if relevant.sum() == 0:
        return None
    places = k if isinstance(k, tuple) else (k,)
    each = rank_temperature if isinstance(rank_temperature, tuple) else (1.0,) * len(places)
    total = scores.new_zeros(())
    for place, of_ranks in zip(places, each, strict=True):
        chosen = among_first(scores / temperature, place)
        if variant == "ranks":
            chosen = torch.sigmoid((place - positions(scores, temperature)) / of_ranks)
        most = relevant.sum()
        if capped:
            most = relevant.sort(descending=True).values[:place].sum()
        total = total + ((relevant * chosen).sum() / most).clamp(max=1)
    return 1 - total / len(places)


def precision_at_k_loss(scores: Tensor, labels: Tensor, **arguments: Any) -> Tensor:
    """The loss at a k that is not asked for."""
    result: Tensor = rank_relax.precision_at_k_loss(scores, labels, **{"k": 3, **arguments})
    return result


def recall_at_k_loss(scores: Tensor, labels: Tensor, **arguments: Any) -> Tensor:
    """The loss at a k that is not asked for."""
    result: Tensor = rank_relax.recall_at_k_loss(scores, labels, **{"k": 3, **arguments})
    return result


def sqrt_gain(labels: Tensor) -> Tensor:
    return labels.sqrt()


CASES: list[tuple[Any, Any, dict[str, Any]]] = [
    (rank_relax.ndcg_loss, ndcg, {}),
    (rank_relax.ndcg_loss, ndcg, {"k": 3, "temperature": 0.5}),
    (rank_relax.ndcg_loss, ndcg, {"gain": "linear", "normalize": False}),
    (rank_relax.ndcg_loss, ndcg, {"gain": sqrt_gain, "k": 2}),
    (rank_relax.ndcg_loss, ndcg, {"normalize": False, "temperature": 1.0}),
    (rank_relax.mrr_loss, mrr, {}),
    (rank_relax.mrr_loss, mrr, {"relevant": "all", "temperature": 0.5}),
    (rank_relax.average_precision_loss, average_precision, {}),
    (rank_relax.average_precision_loss, average_precision, {"temperature": 0.3}),
    (rank_relax.auc_loss, auc, {}),
    (rank_relax.auc_loss, auc, {"surrogate": "logistic", "temperature": 0.5}),
    (rank_relax.auc_loss, auc, {"surrogate": "squared", "margin": 2.0}),
    (rank_relax.auc_loss, auc, {"surrogate": "squared_hinge", "temperature": 0.3}),
    (rank_relax.listnet_loss, listnet, {}),
    (rank_relax.listnet_loss, listnet, {"shares": "proportional", "temperature": 0.2}),
    (rank_relax.cosent_loss, cosent, {}),
    (rank_relax.pairwise_logistic_loss, pairwise_logistic, {}),
    (rank_relax.pairwise_logistic_loss, pairwise_logistic, {"ties": "half", "temperature": 0.5}),
    (
        rank_relax.pairwise_logistic_loss,
        pairwise_logistic,
        {"normalize": "sum", "temperature": 0.2},
    ),
    (rank_relax.kendall_loss, kendall, {}),
    (rank_relax.kendall_loss, kendall, {"variant": "a", "temperature": 0.1}),
    (rank_relax.cosent_loss, cosent, {"temperature": 1.0}),
    (rank_relax.adr_mse_loss, adr_mse, {"temperature": 0.1}),
    (rank_relax.normal_scores_loss, normal_scores, {}),
    (rank_relax.normal_scores_loss, normal_scores, {"variant": "numerai", "temperature": 0.1}),
    (rank_relax.topk_cross_entropy_loss, topk_cross_entropy, {}),
    (
        rank_relax.topk_cross_entropy_loss,
        topk_cross_entropy,
        {"probabilities": (0.0, 0.2, 0.8), "temperature": 0.3},
    ),
    (rank_relax.partial_auc_loss, partial_auc, {}),
    (
        rank_relax.partial_auc_loss,
        partial_auc,
        {"fpr": (0.1, 0.6), "surrogate": "squared_hinge", "temperature": 0.5},
    ),
    (
        rank_relax.partial_auc_loss,
        partial_auc,
        {"fpr": (0.2, 0.7), "selection": "soft", "surrogate": "squared", "temperature": 0.3},
    ),
    (concordance_loss, concordance, {}),
    (rank_relax.lambda_loss, lambda_rank, {}),
    (rank_relax.lambda_loss, lambda_rank, {"gain": sqrt_gain, "k": 2, "temperature": 0.5}),
    (rank_relax.lambda_loss, lambda_rank, {"scheme": "ndcg2++", "k": 5}),
    (rank_relax.listmle_loss, listmle, {}),
    (
        rank_relax.listmle_loss,
        listmle,
        {"ties": "breslow", "position_weights": "exp2", "temperature": 0.5},
    ),
    (precision_at_k_loss, precision_at_k, {"temperature": 0.1}),
    (precision_at_k_loss, precision_at_k, {"k": 10, "temperature": 0.3}),
    (recall_at_k_loss, recall_at_k, {"temperature": 0.1}),
    (recall_at_k_loss, recall_at_k, {"k": (1, 5, 20), "capped": True, "temperature": 0.3}),
    (recall_at_k_loss, recall_at_k, {"k": (1, 2, 4), "variant": "ranks"}),
    (
        recall_at_k_loss,
        recall_at_k,
        {
            "k": (1, 2, 5),
            "variant": "ranks",
            "capped": True,
            "rank_temperature": (1, 2, 0.3),
            "temperature": 0.3,
        },
    ),
]


OF_ROWS_ALONE = rank_relax.topk_cross_entropy_loss


def name_of(loss: Any, options: dict[str, Any]) -> str:
    return "-".join([loss.__name__, *(getattr(x, "__name__", str(x)) for x in options.values())])


def cases(chosen: Callable[[Any, dict[str, Any]], bool]) -> Any:
    """The test is asked of these cases."""
    these = [
        (loss, definition, options) for loss, definition, options in CASES if chosen(loss, options)
    ]
    ids = [name_of(loss, options) for loss, _, options in these]
    return pytest.mark.parametrize(("loss", "definition", "options"), these, ids=ids)


every_loss = cases(lambda loss, options: True)
every_loss_of_ragged_lists = cases(lambda loss, options: loss is not OF_ROWS_ALONE)

every_loss_and_shape = pytest.mark.parametrize(
    ("loss", "definition", "options", "shape"),
    [
        pytest.param(*case, shape, id=f"{name_of(case[0], case[2])}-{shape}")
        for case in CASES
        for shape in ("ragged", "padded")
        if shape == "padded" or case[0] is not OF_ROWS_ALONE
    ],
)

# Lists of these lengths: none, one item, no relevant item, all of them relevant, and larger ones.
LENGTHS = (0, 1, 4, 3, 17, 60, 2)
BEGINS = torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()])


def flat_lists(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Scores with ties and graded labels, all lists one behind the other."""
    scores = torch.randn(int(BEGINS[-1]), dtype=torch.float64)
    scores[::5] = scores[0]
    labels = torch.randint(0, 4, scores.shape)
    labels[BEGINS[2] : BEGINS[3]] = 0
    labels[BEGINS[3] : BEGINS[4]] = torch.tensor([1, 2, 3])
    return scores.to(dtype), labels


def padded(flat: Tensor, filler: float) -> Tensor:
    lists = torch.full((len(LENGTHS), max(LENGTHS)), filler, dtype=flat.dtype)
    for i, (begin, end) in enumerate(itertools.pairwise(BEGINS.tolist())):
        lists[i, : end - begin] = flat[begin:end]
    return lists


def by_definition(
    definition: Any, scores: Tensor, labels: Tensor, weights: Tensor, options: dict[str, Any]
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of each list, which of them have one, and the gradient of the sum."""
    scores = scores.double().requires_grad_()
    losses = []
    for begin, end in itertools.pairwise(BEGINS.tolist()):
        parts = (x[begin:end] for x in (scores, labels.double(), weights.double()))
        losses.append(definition(*parts, **options) if begin < end else None)
    has_loss = torch.tensor([loss is not None for loss in losses])
    together = torch.stack([scores.new_zeros(()) if x is None else x for x in losses])
    (gradient,) = torch.autograd.grad(together.sum(), scores)
    return together.detach(), has_loss, gradient


# Of a sum of up to 60 terms and its gradient, divided by a temperature of 0.01.
BOUND = {torch.float64: 1e-10, torch.float32: 2e-3}


@every_loss_and_shape
def test_losses_and_gradients_are_those_of_the_definition(
    loss: Any, definition: Any, options: dict[str, Any], shape: str, subtests: pytest.Subtests
) -> None:
    for weighted, dtype in itertools.product((False, True), (torch.float64, torch.float32)):
        with subtests.test(weighted=weighted, dtype=dtype):
            check_against(definition, loss, options, shape, weighted, dtype)


def check_against(
    definition: Any,
    loss: Any,
    options: dict[str, Any],
    shape: str,
    weighted: bool,
    dtype: torch.dtype,
) -> None:
    scores, labels = flat_lists(dtype)
    weights = torch.rand(scores.shape).to(dtype) if weighted else torch.ones_like(scores)
    if weighted:
        weights[::3] = 0
    expected, has_loss, gradient = by_definition(definition, scores, labels, weights, options)
    scores.requires_grad_()
    arguments: dict[str, Tensor] = {"offsets": BEGINS}
    lists = (scores, labels, weights)
    if shape == "padded":
        # What does not count may be anything.
        arguments = {"mask": padded(torch.ones_like(scores, dtype=torch.bool), False)}
        lists = (padded(scores, nan), padded(labels, 9), padded(weights, inf))
    if weighted:
        arguments["weights"] = lists[2]
    actual = loss(*lists[:2], **arguments, **options, reduction="none")
    assert actual.dtype == dtype
    close = {"rtol": BOUND[dtype], "atol": BOUND[dtype]}
    torch.testing.assert_close(actual.detach().double(), expected, **close)
    (actual_gradient,) = torch.autograd.grad(actual.sum(), scores)
    scale = gradient.abs().max()
    torch.testing.assert_close(actual_gradient.double() / scale, gradient / scale, **close)
    for begin, end in zip(BEGINS[:-1][~has_loss], BEGINS[1:][~has_loss], strict=True):
        assert (actual_gradient[begin:end] == 0).all()
    mean = loss(*lists[:2], **arguments, **options)
    torch.testing.assert_close(mean, actual[has_loss].mean())
    total = loss(*lists[:2], **arguments, **options, reduction="sum")
    torch.testing.assert_close(total, actual.sum())


@every_loss_and_shape
def test_derivatives_are_right_to_the_second_order(
    loss: Any, definition: Any, options: dict[str, Any], shape: str
) -> None:
    scores, labels = flat_lists()
    scores = scores + 0.1 * torch.randn_like(scores)  # the first and the hinge are kinks at ties
    weights = torch.rand_like(scores)
    if loss in (rank_relax.average_precision_loss, rank_relax.auc_loss, rank_relax.listnet_loss):
        weights[::3] = 0  # where the others have a step, or two equal gains
    arguments: dict[str, Any] = {**options, "temperature": 0.5, "reduction": "none"}
    if shape == "padded":
        arguments["mask"] = padded(torch.ones_like(labels, dtype=torch.bool), False)
        scores, labels, weights = padded(scores, nan), padded(labels, 9), padded(weights, nan)
    else:
        arguments["offsets"] = BEGINS

    def of_differences(scores_more: Tensor, weights_more: Tensor) -> Tensor:
        result: Tensor = loss(
            scores + scores_more, labels, weights=weights + weights_more, **arguments
        )
        return result

    differences = (torch.zeros_like(scores), torch.zeros_like(weights))
    for difference in differences:
        difference.requires_grad_()
    assert torch.autograd.gradcheck(of_differences, differences, fast_mode=True)
    assert torch.autograd.gradgradcheck(of_differences, differences, fast_mode=True)


@every_loss
def test_vmap_and_compiled_graphs_give_the_same(
    loss: Any, definition: Any, options: dict[str, Any]
) -> None:
    scores = torch.randn(3, 2, 20, dtype=torch.float64)
    labels = torch.randint(0, 3, scores.shape)
    expected = loss(scores, labels, **options, reduction="none")
    mapped = torch.vmap(lambda x, y: loss(x, y, **options, reduction="none"))(scores, labels)
    torch.testing.assert_close(mapped, expected)

    def gradient_of(x: Tensor, y: Tensor) -> Tensor:
        return torch.func.grad(lambda x: loss(x, y, **options))(x)

    gradients = torch.vmap(gradient_of)(scores, labels)
    inputs = scores.clone().requires_grad_()
    sum(loss(x, y, **options) for x, y in zip(inputs, labels, strict=True)).backward()
    torch.testing.assert_close(gradients, inputs.grad)

    graph = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    scores, labels = flat_lists()
    arguments = {"offsets": BEGINS, "weights": torch.rand_like(scores), **options}
    if loss is OF_ROWS_ALONE:
        arguments = {"mask": padded(torch.ones_like(labels, dtype=torch.bool), False), **options}
        scores, labels = padded(scores, nan), padded(labels, 9)
    # Floats that are symbols take as long again, which is asked of the first case of each loss.
    first = next(options for other, _, options in CASES if other is loss)
    with torch._dynamo.config.patch(specialize_float=options != first):
        torch.testing.assert_close(
            graph(scores, labels, **arguments), loss(scores, labels, **arguments)
        )


@pytest.mark.parametrize("loss", [rank_relax.average_precision_loss, rank_relax.normal_scores_loss])
def test_graphs_are_not_compiled_again_for_other_lengths(loss: Any) -> None:
    compilations = 0

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Any:
        nonlocal compilations
        compilations += 1
        return graph

    graph = torch.compile(loss, fullgraph=True, backend=backend, dynamic=True)
    for lengths in ([3, 9, 5], [40, 2], [1, 1, 1, 1, 7, 30], [2, 80]):
        offsets = torch.tensor([0, *lengths]).cumsum(0)
        scores, labels = torch.randn(sum(lengths)), torch.rand(sum(lengths)) < 0.4
        labels[0] = True
        expected = loss(scores, labels, offsets=offsets)
        torch.testing.assert_close(graph(scores, labels, offsets=offsets), expected)
    assert compilations == 1


class TestAsTheTemperatureFalls:
    """Losses are those of hard ranks: one minus the metrics, of scores none of which are equal."""

    scores = torch.tensor([[0.9, 0.2, 0.7, 0.4, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5]])
    labels = torch.tensor([[0, 3, 1, 0, 2], [1, 0, 0, 2, 0]])

    def test_ndcg(self) -> None:
        log = math.log2
        gained = torch.tensor(
            [
                1 / log(3) + 7 / log(5) + 3 / log(6),
                3 / log(3) + 1 / log(6),
            ]
        )
        most = torch.tensor([7 + 3 / log(3) + 1 / log(4), 3 + 1 / log(3)])
        loss = rank_relax.ndcg_loss(self.scores, self.labels, temperature=1e-4, reduction="none")
        torch.testing.assert_close(loss, 1 - gained / most)
        at_2 = rank_relax.ndcg_loss(
            self.scores, self.labels, k=2, temperature=1e-4, reduction="none"
        )
        gained = torch.tensor([1 / log(3), 3 / log(3)])
        most = torch.tensor([7 + 3 / log(3), 3 + 1 / log(3)])
        torch.testing.assert_close(at_2, 1 - gained / most)

    def test_mrr(self) -> None:
        loss = rank_relax.mrr_loss(self.scores, self.labels, temperature=1e-4, reduction="none")
        torch.testing.assert_close(loss, torch.tensor([1 / 2, 1 / 2]))

    def test_average_precision(self) -> None:
        loss = rank_relax.average_precision_loss(
            self.scores, self.labels, temperature=1e-4, reduction="none"
        )
        expected = [1 - (1 / 2 + 2 / 4 + 3 / 5) / 3, 1 - (1 / 2 + 2 / 5) / 2]
        torch.testing.assert_close(loss, torch.tensor(expected))

    def test_adr_mse(self) -> None:
        loss = rank_relax.adr_mse_loss(self.scores, self.labels, temperature=1e-4, reduction="none")
        log = math.log2
        # 1, 4, 2, 3, 5 should be 4.5, 1, 3, 4.5, 2; and 5, 4, 3, 2, 1 should be 2, 4, 4, 1, 4.
        errors = [
            (3.5**2 + 1.5**2) / log(5.5) + 3**2 / log(2) + 1 / log(4) + 3**2 / log(3),
            3**2 / log(3) + (1 + 3**2) / log(5) + 1 / log(2),
        ]
        torch.testing.assert_close(loss, torch.tensor(errors) / 5)

    @pytest.mark.parametrize("selection", ["hard", "soft"])
    def test_partial_auc(self, selection: Any) -> None:
        options = {"selection": selection, "temperature": 1e-4, "reduction": "none"}
        loss = rank_relax.partial_auc_loss(self.scores, self.labels, fpr=0.5, **options)
        # 0.9 is above each positive; 0.5, and half as much 0.3, are above 0.1, and 0.5 above 0.4.
        torch.testing.assert_close(loss, torch.tensor([1, (1 + 2 / 3) / 2]))

    def test_kendall(self) -> None:
        loss = rank_relax.kendall_loss(self.scores, self.labels, temperature=1e-4, reduction="none")
        # Of 10 pairs 9 are ordered, 2 of them rightly; and 7, 3 of them rightly.
        expected = [1 + 5 / math.sqrt(90), 1 + 1 / math.sqrt(70)]
        torch.testing.assert_close(loss, torch.tensor(expected))

    def test_auc(self) -> None:
        loss = rank_relax.auc_loss(self.scores, self.labels, temperature=1e-4, reduction="none")
        # Of 3 · 2 pairs the wrong ones: 0.9 above each positive, 0.4 above 0.2 and 0.1.
        torch.testing.assert_close(loss, torch.tensor([5 / 6, (1 + 3) / 6]))


@pytest.mark.parametrize("surrogate", ["sigmoid", "logistic", "squared", "squared_hinge"])
def test_an_integer_weight_in_an_auc_is_a_repetition(surrogate: Any) -> None:
    scores, labels = torch.randn(30, dtype=torch.float64), torch.randint(0, 2, (30,))
    times = torch.randint(0, 4, (30,))
    weighted = rank_relax.auc_loss(scores, labels, weights=times.double(), surrogate=surrogate)
    repeated = rank_relax.auc_loss(
        scores.repeat_interleave(times), labels.repeat_interleave(times), surrogate=surrogate
    )
    torch.testing.assert_close(weighted, repeated)


@pytest.mark.parametrize("ties", [False, True])
def test_normal_scores_are_what_numerai_correlates(ties: bool) -> None:
    """``numerai_corr`` of numerai-tools 0.7, with the quantiles of Python's own library."""
    scores = torch.randn(500, dtype=torch.float64)
    if ties:
        scores[::7] = scores[0]
    labels = torch.randint(0, 5, (500,)) / 4  # 0, ¼, ... 1, as the tournament's targets
    ranks = (501 - hard_ranks(scores)).tolist()
    quantiles = [statistics.NormalDist().inv_cdf((rank - 0.5) / 500) for rank in ranks]
    sides = torch.tensor(quantiles, dtype=torch.float64), labels.double() - labels.double().mean()
    x, y = (side.sign() * side.abs() ** 1.5 for side in sides)
    expected = 1 - torch.corrcoef(torch.stack([x, y]))[0, 1]
    options = {"variant": "numerai", "temperature": 1e-9}
    actual = rank_relax.normal_scores_loss(scores, labels, **options)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("variant", ["blom", "numerai"])
class TestNormalScores:
    def test_narrow_lists_have_as_exact_a_loss(self, variant: Any) -> None:
        scores, labels = torch.randn(40), torch.rand(40)
        narrow = 1e-5 * scores
        wide = normal_scores(
            (1e-5 * scores).double(), labels.double(), torch.ones(40), 1.0, variant
        )
        assert wide is not None
        loss = rank_relax.normal_scores_loss(narrow, labels, variant=variant)
        torch.testing.assert_close(loss.double(), wide, rtol=1e-6, atol=0)

    def test_equal_scores_are_not_correlated(self, variant: Any) -> None:
        scores = torch.full((5,), 0.3, requires_grad=True)
        labels, weights = torch.tensor([0.1, 0.2, 0.4, 0.8, 0.9]), torch.rand(5)
        loss = rank_relax.normal_scores_loss(scores, labels, variant=variant, weights=weights)
        loss.backward()
        assert loss == 1
        assert scores.grad is not None
        assert (scores.grad == 0).all()

    def test_the_item_in_the_middle_has_finite_derivatives(self, variant: Any) -> None:
        scores = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
        scores.requires_grad_()
        labels = torch.tensor([0.0, 0.5, 0.25, 1.0, 0.75])
        loss = rank_relax.normal_scores_loss(scores, labels, variant=variant)
        (gradient,) = torch.autograd.grad(loss, scores, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), scores)
        assert second.isfinite().all()
        options = {"temperature": 1.0, "variant": variant}
        beside = torch.tensor([0.0, 0.0, 1e-7, 0.0, 0.0]).double()
        difference = [
            normal_scores(x, labels.double(), torch.ones(5).double(), **options)
            for x in (scores.detach() + beside, scores.detach() - beside)
        ]
        slope = (difference[0] - difference[1]) / 2e-7  # type: ignore[operator]
        torch.testing.assert_close(gradient[2].detach(), slope, rtol=1e-3, atol=1e-6)


class TestTopKCrossEntropy:
    def test_labels_may_be_classes(self) -> None:
        scores = torch.randn(4, 2, 9, dtype=torch.float64, requires_grad=True)
        classes = torch.randint(0, 9, (4, 2))
        given = {"weights": torch.rand(9).double().expand(4, 2, 9), "reduction": "none"}
        one_hot = torch.nn.functional.one_hot(classes, 9)
        expected = rank_relax.topk_cross_entropy_loss(scores, one_hot, **given)
        (gradient,) = torch.autograd.grad(expected.sum(), scores)
        for dtype in (torch.int64, torch.int32, torch.uint8):
            actual = rank_relax.topk_cross_entropy_loss(scores, classes.to(dtype), **given)
            torch.testing.assert_close(actual, expected)
            torch.testing.assert_close(torch.autograd.grad(actual.sum(), scores)[0], gradient)
        mapped = torch.vmap(torch.vmap(rank_relax.topk_cross_entropy_loss))(scores, classes)
        torch.testing.assert_close(mapped, expected)
        graph = torch.compile(
            rank_relax.topk_cross_entropy_loss, fullgraph=True, dynamic=True, backend="aot_eager"
        )
        torch.testing.assert_close(graph(scores, classes), expected.mean())

    def test_it_is_the_logarithm_of_soft_masks(self) -> None:
        scores, classes = torch.randn(30, 12, dtype=torch.float64), torch.randint(0, 12, (30,))
        p = (0.1, 0.0, 0.3, 0.6)
        masks = [rank_relax.soft_topk(scores, k, 1 / 0.7) for k in (1, 2, 3, 4)]
        inside = sum(p_k * mask for p_k, mask in zip(p, masks, strict=True))
        expected = torch.nn.functional.nll_loss(torch.log(torch.as_tensor(inside)), classes)
        options = {"probabilities": p, "temperature": 0.7}
        actual = rank_relax.topk_cross_entropy_loss(scores, classes, **options)
        torch.testing.assert_close(actual, expected)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    @pytest.mark.parametrize("far", [1e2, 1e4, 1e8])
    def test_what_is_far_below_has_a_loss_and_a_gradient(
        self, far: float, dtype: torch.dtype
    ) -> None:
        scores = torch.zeros(5, dtype=dtype)
        scores[2] = far
        scores.requires_grad_()
        loss = rank_relax.topk_cross_entropy_loss(scores, torch.tensor(0), probabilities=(1,))
        (gradient,) = torch.autograd.grad(loss, scores)
        # 1 - F(far - c) = 4 F(-c) is e^(c - far) = 4 e^-c, and the loss is c, to e^-50.
        threshold = torch.tensor((far + math.log(4)) / 2, dtype=dtype)
        expected = torch.tensor([-1 + 1 / 8, 1 / 8, 1 / 2, 1 / 8, 1 / 8], dtype=dtype)
        rounding = 2 * torch.finfo(dtype).eps
        torch.testing.assert_close(loss, threshold, rtol=rounding, atol=0)
        # Shares depend on the threshold, a double, in units of the temperature.
        bound = max(rounding, far * torch.finfo(torch.float64).eps)
        torch.testing.assert_close(gradient, expected, rtol=bound, atol=0)

    @pytest.mark.parametrize("labels", [torch.arange(6), torch.eye(12)[:6]], ids=["", "of items"])
    def test_classes_at_minus_infinity_are_left_out(self, labels: Tensor) -> None:
        scores, options = torch.randn(6, 9, dtype=torch.float64), {"probabilities": (0.5, 0.5)}
        expected = rank_relax.topk_cross_entropy_loss(scores, torch.arange(6), **options)
        more = torch.nn.functional.pad(scores, (0, 3), value=-inf).requires_grad_()
        actual = rank_relax.topk_cross_entropy_loss(more, labels, **options)
        torch.testing.assert_close(actual, expected)
        actual.backward()
        assert more.grad is not None
        assert (more.grad[:, 9:] == 0).all()
        assert more.grad.isfinite().all()

    @pytest.mark.parametrize(
        ("labels", "options", "kind", "message"),
        [
            ([0, 3], {}, ValueError, "labels must be classes from 0 to 2, the last of scores"),
            ([0, -1], {}, ValueError, "labels must be classes from 0 to 2, the last of scores"),
            ([0], {}, ValueError, r"labels that are classes must have .*, \[2\], got \[1\]"),
            ([0, 1], {"probabilities": 1.0}, TypeError, "probabilities must be a tuple or list"),
            ([0, 1], {"probabilities": ()}, ValueError, "probabilities must be from 0 up and add"),
            ([0, 1], {"probabilities": (0.5, 0.4)}, ValueError, "probabilities must be from 0 up"),
            ([0, 1], {"probabilities": (2, -1)}, ValueError, "probabilities must be from 0 up"),
        ],
    )
    def test_errors(
        self, labels: list[int], options: dict[str, Any], kind: Any, message: str
    ) -> None:
        with pytest.raises(kind, match=f"^topk_cross_entropy_loss: {message}"):
            rank_relax.topk_cross_entropy_loss(torch.randn(2, 3), torch.tensor(labels), **options)


every_selection = pytest.mark.parametrize("selection", ["hard", "soft"])


@every_selection
@pytest.mark.parametrize("surrogate", ["sigmoid", "logistic", "squared", "squared_hinge"])
def test_all_false_positive_rates_are_those_of_the_whole_area(
    selection: Any, surrogate: Any
) -> None:
    scores, labels = flat_lists()
    options = {"offsets": BEGINS, "weights": torch.rand_like(scores), "surrogate": surrogate}
    whole = rank_relax.auc_loss(scores, labels, **options)
    part = rank_relax.partial_auc_loss(scores, labels, fpr=(0, 1), selection=selection, **options)
    torch.testing.assert_close(part, whole, rtol=1e-14, atol=0)


@every_selection
def test_an_integer_weight_in_a_partial_auc_is_a_repetition(selection: Any) -> None:
    scores, labels = torch.randn(30, dtype=torch.float64), torch.randint(0, 2, (30,))
    times = torch.randint(0, 4, (30,))
    options = {"fpr": (0.13, 0.41), "selection": selection}
    weighted = rank_relax.partial_auc_loss(scores, labels, weights=times.double(), **options)
    repeated = rank_relax.partial_auc_loss(
        scores.repeat_interleave(times), labels.repeat_interleave(times), **options
    )
    torch.testing.assert_close(weighted, repeated)


@pytest.mark.parametrize("surrogate", ["logistic", "squared_hinge"])
@pytest.mark.parametrize("fpr", [0.3, 0.25])
def test_a_hard_partial_auc_is_the_value_at_risk_that_libauc_minimises(
    surrogate: Any, fpr: float
) -> None:
    """Over a variable s of each positive: s + Σ_n max(0, ℓ_n - s) / (β |N|), at its best s."""
    scores, labels = torch.randn(50, dtype=torch.float64), torch.arange(50) < 20
    differences = scores[labels][:, None] - scores[~labels][None, :]
    losses = torch.nn.functional.softplus(-differences)
    if surrogate == "squared_hinge":
        losses = (1 - differences).clamp(min=0) ** 2
    # Piecewise linear in s, with its least value at a loss of a pair or, all being positive, at 0.
    choices = torch.nn.functional.pad(losses, (1, 0))
    beyond = (losses[:, None, :] - choices[:, :, None]).clamp(min=0).sum(-1)
    risk = (choices + beyond / (fpr * 30)).min(-1).values.mean()
    actual = rank_relax.partial_auc_loss(scores, labels, fpr=fpr, surrogate=surrogate)
    torch.testing.assert_close(actual, risk, rtol=1e-12, atol=0)


@every_selection
def test_a_negative_of_weight_0_has_the_derivative_of_what_it_would_weigh(selection: Any) -> None:
    scores, labels = torch.randn(12, dtype=torch.float64), torch.arange(12) < 4
    weights = torch.rand(12, dtype=torch.float64)
    weights[8:] = 0
    weights.requires_grad_()
    options = {"fpr": (0.2, 0.6), "selection": selection}
    loss = rank_relax.partial_auc_loss(scores, labels, weights=weights, **options)
    (gradient,) = torch.autograd.grad(loss, weights)
    for i in range(8, 12):
        more = weights.detach().clone()
        more[i] = 1e-7
        slope = (partial_auc(scores, labels, more, **options) - loss.detach()) / 1e-7
        torch.testing.assert_close(gradient[i], slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("highest", [1, 2, 3, 4])
def test_negatives_are_selected_softly_beside_gaps_of_any_width(highest: int) -> None:
    gaps = torch.cat([torch.linspace(40, 1600, 500), torch.tensor([1e6, 1e9])]).double()
    scores = torch.randn(5, dtype=torch.float64).repeat(len(gaps), 1)
    scores[:, :highest] += gaps[:, None]
    scores = torch.cat([scores, gaps[:, None]], -1).requires_grad_()
    labels = torch.tensor([0, 0, 0, 0, 0, 1]).expand_as(scores)
    loss = rank_relax.partial_auc_loss(scores, labels, fpr=highest / 5, selection="soft")
    (gradient,) = torch.autograd.grad(loss, scores)
    # Those above the gap, but for e^-20.
    chosen = torch.arange(6).expand_as(scores)
    chosen = (chosen < highest) | (chosen == 5)
    expected = rank_relax.auc_loss(scores, labels, mask=chosen)
    (of_the_highest,) = torch.autograd.grad(expected, scores)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(gradient, of_the_highest, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("far", [1e4, 1e6, 1e9, 1e30])
def test_a_score_far_away_takes_no_digit_of_a_squared_hinge(far: float, dtype: torch.dtype) -> None:
    scores = torch.tensor([-far, 0.3, 0.1, 0.5, 0.2, far], dtype=dtype, requires_grad=True)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    loss = rank_relax.auc_loss(scores, labels, surrogate="squared_hinge")
    short = 1 - (torch.tensor([0.3, 0.5]).double()[:, None] - torch.tensor([0.1, 0.2]).double())
    torch.testing.assert_close(loss, ((short**2).sum() / 9).to(dtype), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient[0] == gradient[5] == 0
    torch.testing.assert_close(gradient[1], (-2 * short[0].sum() / 9).to(dtype))


@cases(
    lambda loss, options: (
        loss not in (rank_relax.cosent_loss, rank_relax.listmle_loss, rank_relax.lambda_loss)
        and options.get("normalize") is None
    )
)
def test_the_scale_of_weights_does_not_matter_to_a_mean(
    loss: Any, definition: Any, options: dict[str, Any]
) -> None:
    scores, labels, weights = torch.randn(8, 9), torch.randint(0, 3, (8, 9)), torch.rand(8, 9)
    weights[:, ::2] = 1
    expected = loss(scores, labels, weights=weights, **options, reduction="none")
    for factor in (1e-23, 1e25):
        actual = loss(scores, labels, weights=weights * factor, **options, reduction="none")
        torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("loss", [rank_relax.pairwise_logistic_loss, rank_relax.kendall_loss])
def test_labels_may_be_real_numbers_in_long_lists(loss: Any) -> None:
    """Of which each bit of the labels' places asks about half."""
    n = 3000
    scores, labels = torch.randn(2, n, dtype=torch.float64), torch.randn(2, n, dtype=torch.float64)
    labels[:, ::7] = labels[:, :1]
    definition = pairwise_logistic if loss is rank_relax.pairwise_logistic_loss else kendall
    expected = [
        definition(*lists, torch.ones(n).double()) for lists in zip(scores, labels, strict=True)
    ]
    actual = loss(scores, labels, reduction="none")
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-12, atol=0)
    ends = {"offsets": torch.tensor([0, n, 2 * n]), "reduction": "none"}
    flat = loss(scores.flatten(), labels.flatten(), **ends)
    torch.testing.assert_close(flat, torch.stack(expected), rtol=1e-12, atol=0)


def test_the_mean_over_all_pairs_weighs_lists_by_theirs() -> None:
    scores, labels = flat_lists()
    options = {"offsets": BEGINS, "normalize": "pairs"}
    losses = rank_relax.pairwise_logistic_loss(scores, labels, **options, reduction="none")
    pairs = sum(
        ordered_pairs(labels[i:j], torch.ones(j - i)).sum()
        for i, j in itertools.pairwise(BEGINS.tolist())
    )
    mean = rank_relax.pairwise_logistic_loss(scores, labels, **options)
    torch.testing.assert_close(mean, losses.sum() / pairs)


def test_ndcg_at_k_has_the_units_of_its_scores() -> None:
    scores, labels = torch.randn(20, dtype=torch.float64), torch.randint(0, 3, (20,))
    expected = rank_relax.ndcg_loss(scores, labels, k=5)
    actual = rank_relax.ndcg_loss(1000 * scores, labels, k=5, temperature=100.0)
    torch.testing.assert_close(actual, expected)
    of_all = rank_relax.ndcg_loss(scores, labels, k=20, temperature=2.0)
    torch.testing.assert_close(of_all, rank_relax.ndcg_loss(scores, labels, temperature=2.0))


@pytest.mark.parametrize("gain", [lambda y: y > 1, lambda y: (y > 1).to(torch.uint8)])
def test_a_gain_may_be_of_any_dtype(gain: Any) -> None:
    scores, labels = torch.randn(300), torch.randint(0, 4, (300,))
    expected = rank_relax.ndcg_loss(scores, labels, gain=lambda y: (y > 1).float())
    torch.testing.assert_close(rank_relax.ndcg_loss(scores, labels, gain=gain), expected)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint64], ids=str)
def test_integer_labels_are_compared_exactly(dtype: torch.dtype) -> None:
    high = 2**60 + (2**63 if dtype == torch.uint64 else 0)
    labels = torch.tensor([high + 1, high, 1], dtype=dtype)
    scores = torch.tensor([0.1, 0.2, 0.3])
    expected = rank_relax.cosent_loss(scores, torch.tensor([2, 1, 0]))
    assert rank_relax.cosent_loss(scores, labels) == expected


@every_loss
def test_labels_are_of_any_dtype(
    loss: Any, definition: Any, options: dict[str, Any], subtests: pytest.Subtests
) -> None:
    scores, labels = torch.randn(3, 9), torch.randint(0, 4, (3, 9))
    mask = torch.rand(3, 9) < 0.8
    expected = loss(scores, labels, mask=mask, **options)
    unsigned = (torch.uint8, torch.uint16, torch.uint32, torch.uint64)
    for dtype in (*unsigned, torch.int8, torch.half):
        with subtests.test(dtype=dtype):
            actual = loss(scores, labels.to(dtype), mask=mask, **options)
            torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("surrogate", ["squared", "squared_hinge"])
def test_scores_far_from_0_do_not_cancel(surrogate: Any) -> None:
    scores, labels = torch.randn(50, dtype=torch.float64), torch.randint(0, 2, (50,))
    near = rank_relax.auc_loss(scores, labels, surrogate=surrogate)
    far = rank_relax.auc_loss(scores + 1e6, labels, surrogate=surrogate)
    torch.testing.assert_close(far, near, rtol=1e-8, atol=0)


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
def test_the_top_of_a_long_list_is_as_exact(ragged: bool) -> None:
    """Where float32 has few digits left for positions near the end."""
    n = 200_000
    scores, labels = torch.randn(n), torch.zeros(n)
    labels[scores.argsort(descending=True)[:20]] = 1
    arguments = {"offsets": torch.tensor([0, n])} if ragged else {}
    actual = rank_relax.mrr_loss(scores, labels, relevant="all", temperature=0.001, **arguments)
    top = scores.double()[labels > 0]
    above = torch.sigmoid((scores.double()[None, :] - top[:, None]) / 0.001).sum(-1) - 0.5
    expected = 1 - (1 / (1 + above)).mean()
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=0)


def test_labels_that_2_to_the_power_of_overflows_have_a_normalised_gain() -> None:
    scores, labels = torch.tensor([0.1, 0.5, 0.3]), torch.tensor([300, 299, 0])
    expected = rank_relax.ndcg_loss(scores, torch.tensor([30.0, 29.0, 0.0]))
    torch.testing.assert_close(rank_relax.ndcg_loss(scores, labels), expected)


class TestConcordance:
    times = torch.arange(40) * 7 % 9  # at one time there are events and censored ones
    events = torch.arange(40) % 5 > 1

    def test_events_come_before_the_censored_of_their_time(self) -> None:
        scores = torch.randn(40, dtype=torch.float64)
        expected = concordance_of_times(scores, self.times, self.events, torch.ones(40))
        for events in (self.events, self.events.float(), self.events.long()):
            for times in (self.times, self.times.float() - 3, 2**60 + self.times):
                loss = rank_relax.concordance_loss(scores, times, events)
                torch.testing.assert_close(loss, expected)

    def test_as_the_temperature_falls_it_is_one_minus_the_index(self) -> None:
        risks, times = torch.tensor([5.0, 4.0, 1.0, 3.0, 2.0]), torch.tensor([1, 2, 2, 3, 4])
        events = torch.tensor([True, False, True, True, False])
        # 0 before all four; 2 before the censored 1, before 3 and before 4; 3 before 4.
        weights = torch.tensor([1.0, 9.0, 2.0, 4.0, 9.0])
        for given, right, pairs in ((None, 4 + 0 + 1, 8), (weights, 4 + 4, 4 + 2 * 3 + 4)):
            loss = rank_relax.concordance_loss(
                risks, times, events, weights=given, temperature=0.01
            )
            torch.testing.assert_close(loss, torch.tensor(1 - right / pairs))

    def test_the_module_is_the_function(self) -> None:
        scores, given = torch.randn(40), {"weights": torch.rand(40), "mask": torch.rand(40) < 0.8}
        module = rank_relax.ConcordanceLoss(temperature=torch.tensor(0.2), reduction="sum")
        expected = rank_relax.concordance_loss(
            scores, self.times, self.events, **given, temperature=0.2
        )
        torch.testing.assert_close(module(scores, self.times, self.events, **given), expected)
        assert "temperature=0.2" in repr(module)

    def test_events_that_are_not_known_are_nan(self) -> None:
        events = torch.tensor([[1.0, nan, 1.0], [1.0, 0.0, 1.0]])
        times = torch.tensor([[3, 1, 2], [3, 1, 2]])
        losses = rank_relax.concordance_loss(torch.ones(2, 3), times, events, reduction="none")
        assert losses[0].isnan()
        assert losses[1] == 0.5
        with pytest.raises(ValueError, match=r"^concordance_loss: events must have the shape of s"):
            rank_relax.concordance_loss(torch.ones(2, 3), times, events[0])

    def test_weights_against_censoring_are_squares_of_the_kaplan_meier_estimate(self) -> None:
        times, events = self.times.expand(2, 40).clone(), self.events.expand(2, 40).clone()
        times[1] = 9 - times[1]
        events[times == times.amax(-1, keepdim=True)] = True  # or the estimate ends with 0
        weights = rank_relax.ipcw_weights(times, events)
        for row in range(2):
            for i in range(40):
                uncensored = 1.0
                for t in range(int(times[row, i]) + 1):
                    censored = ((times[row] == t) & ~events[row]).sum()
                    at_risk = (times[row] > t).sum() + censored
                    uncensored *= float(1 - censored / at_risk.double()) if censored else 1.0
                expected = uncensored**-2 if events[row, i] else 0.0
                assert weights[row, i].item() == pytest.approx(expected, rel=1e-12)
        assert weights.max() > 2
        assert rank_relax.ipcw_weights(torch.ones(0), torch.ones(0)).shape == (0,)
        with pytest.raises(ValueError, match=r"^ipcw_weights: events must have the shape of times"):
            rank_relax.ipcw_weights(times, events[0])


class TestLambdaLoss:
    @pytest.mark.parametrize("labels", ["real", "graded"])
    def test_lists_of_many_blocks_have_the_sum_over_all_pairs(self, labels: str) -> None:
        n = 700
        scores = torch.randn(2, n, dtype=torch.float64)
        y = 3 * torch.rand(2, n).double() if labels == "real" else torch.randint(0, 5, (2, n))
        scores[:, ::9], y[:, ::7] = scores[:, :1], y[:, :1]
        expected = torch.stack(
            [lambda_rank(*x, torch.ones(n)) for x in zip(scores, y.double(), strict=True)]
        )
        close = {"rtol": 1e-12, "atol": 0}
        loss = rank_relax.lambda_loss(scores, y, reduction="none")
        torch.testing.assert_close(loss, expected, **close)
        ends = torch.tensor([0, n, 2 * n])
        flat = rank_relax.lambda_loss(scores.flatten(), y.flatten(), offsets=ends, reduction="none")
        torch.testing.assert_close(flat, expected, **close)
        of_all = rank_relax.lambda_loss(scores, y, k=n, reduction="none")
        torch.testing.assert_close(of_all, expected, **close)

    def test_neighbours_far_down_keep_their_digits_in_float32(self) -> None:
        """Their discounts are equal but for the last digits, and so are their gains."""
        n = 4000
        scores, labels = torch.linspace(1, 0, n), 1000 + torch.rand(n)
        loss = rank_relax.lambda_loss(scores, labels, gain="linear")
        expected = lambda_rank(scores.double(), labels.double(), torch.ones(n), gain="linear")
        torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=0)

    def test_gains_far_from_0_are_subtracted_exactly(self) -> None:
        scores, labels = torch.randn(700, dtype=torch.float64), torch.randint(0, 3, (700,))
        best = labels.double().sort(descending=True).values
        discount = 1 / torch.log2(torch.arange(2, 702).double())
        losses = [
            rank_relax.lambda_loss(scores, labels, gain=lambda y, least=least: y + least)
            * ((best + least) * discount).sum()
            for least in (0.0, 1e12)
        ]
        torch.testing.assert_close(losses[1], losses[0], rtol=1e-9, atol=0)

    def test_equal_scores_have_places_in_the_order_in_which_they_are_given(self) -> None:
        scores = torch.zeros(3, requires_grad=True)
        loss = rank_relax.lambda_loss(scores, torch.tensor([0, 2, 1]))
        at_2, at_3 = 1 / math.log2(3), 0.5
        expected = 3 * (1 - at_2) + 1 * (1 - at_3) + 2 * (at_2 - at_3)
        assert loss.item() == pytest.approx(math.log(2) * expected / (3 + at_2), rel=1e-6)
        (gradient,) = torch.autograd.grad(loss, scores)
        assert gradient[0] > 0 > gradient[1]

    def test_errors(self) -> None:
        x, y = torch.randn(3), torch.ones(3)
        for options, kind, message in (
            ({"scheme": "ndcg1"}, ValueError, "scheme must be one of 'lambdarank', 'ndcg2', 'ndc"),
            ({"scheme": "ndcg2"}, ValueError, "scheme='ndcg2' has no form without .* pass k"),
            ({"k": 0}, ValueError, "k must be at least 1, got 0"),
            ({"gain": "log"}, ValueError, "gain must be one of 'exp2', 'linear', got 'log'"),
            ({"mu": "1"}, TypeError, "mu must be a number, got '1'"),
            ({"mu": -1.0}, ValueError, "mu must be finite and from 0 up, got -1.0"),
        ):
            with pytest.raises(kind, match=f"^lambda_loss: {message}"):
                rank_relax.lambda_loss(x, y, **options)
            with pytest.raises(kind, match=f"^LambdaLoss: {message}"):
                rank_relax.LambdaLoss(**options)


class TestListMLE:
    def test_random_orders_of_ties_are_orders_of_ties(self) -> None:
        """Of which two and six have one likelihood each, of labels that are not equal."""
        scores, labels = torch.randn(5, dtype=torch.float64), torch.tensor([1, 0, 1, 0, 0])
        possible = set()
        for ones in itertools.permutations((0.1, 0.2)):
            for zeros in itertools.permutations((0.1, 0.2, 0.3)):
                more = torch.tensor([ones[0], zeros[0], ones[1], zeros[1], zeros[2]])
                possible.add(round(rank_relax.listmle_loss(scores, labels + more).item(), 9))
        assert len(possible) == 12
        generator = torch.Generator().manual_seed(3)
        arguments = {"ties": "random", "generator": generator, "reduction": "none"}
        found = rank_relax.listmle_loss(scores.expand(300, 5), labels.expand(300, 5), **arguments)
        assert {round(x, 9) for x in found.tolist()} == possible
        generator.manual_seed(3)
        ends = torch.arange(0, 1501, 5)
        again = rank_relax.listmle_loss(
            scores.repeat(300), labels.repeat(300), offsets=ends, **arguments
        )
        assert {round(x, 9) for x in again.tolist()} == possible

    def test_efron_and_random_are_equal_without_ties(self) -> None:
        scores, labels = torch.randn(3, 9), torch.randn(3, 9)
        expected = rank_relax.listmle_loss(scores, labels)
        for ties in ("breslow", "random"):
            actual = rank_relax.listmle_loss(scores, labels, ties=ties)
            torch.testing.assert_close(actual, expected)

    def test_long_lists_have_position_weights(self) -> None:
        """Where 2^n overflows: the first places have 1/2, 1/4, ..."""
        scores = torch.randn(3000, dtype=torch.float64)
        loss = rank_relax.listmle_loss(
            scores, -torch.arange(3000), position_weights="exp2", temperature=0.1
        )
        terms = [(scores[k:] / 0.1).logsumexp(0) - scores[k] / 0.1 for k in range(60)]
        expected = sum(0.5 ** (k + 1) * term for k, term in enumerate(terms))
        torch.testing.assert_close(loss, expected)

    def test_an_integer_weight_is_a_repetition_to_breslow(self) -> None:
        scores, labels = torch.randn(20, dtype=torch.float64), torch.randint(0, 6, (20,))
        times = torch.randint(0, 4, (20,))
        weighted = rank_relax.listmle_loss(scores, labels, weights=times.double(), ties="breslow")
        repeated = rank_relax.listmle_loss(
            scores.repeat_interleave(times), labels.repeat_interleave(times), ties="breslow"
        )
        torch.testing.assert_close(weighted, repeated)

    def test_errors(self) -> None:
        x, y, generator = torch.randn(3), torch.ones(3), torch.Generator()
        for options, kind, message in (
            ({"ties": "exact"}, ValueError, "ties must be one of 'efron', 'breslow', 'random'"),
            ({"position_weights": None}, ValueError, "position_weights must be one of 'uniform'"),
            ({"generator": generator}, ValueError, "generator is for ties='random', got ties='e"),
            ({"generator": 3}, TypeError, "generator must be a torch.Generator, got 3"),
        ):
            with pytest.raises(kind, match=f"^listmle_loss: {message}"):
                rank_relax.listmle_loss(x, y, **options)


class TestTheFirstK:
    """Precision and recall."""

    scores = torch.tensor([[0.9, 0.2, 0.7, 0.4, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5]])
    labels = torch.tensor([[0, 3, 1, 0, 2], [1, 0, 0, 2, 0]])

    def test_as_the_temperature_falls_they_are_one_minus_the_metrics(self) -> None:
        given = {"temperature": 1e-4, "reduction": "none"}
        for k, found in ((1, [0, 0]), (2, [1, 1]), (4, [2, 1]), (5, [3, 2]), (7, [3, 2])):
            hits = torch.tensor(found)
            precision = rank_relax.precision_at_k_loss(self.scores, self.labels, k=k, **given)
            torch.testing.assert_close(precision, 1 - hits / k)
            recall = rank_relax.recall_at_k_loss(self.scores, self.labels, k=k, **given)
            torch.testing.assert_close(recall, 1 - hits / torch.tensor([3, 2]))
            capped = rank_relax.recall_at_k_loss(
                self.scores, self.labels, k=k, capped=True, **given
            )
            torch.testing.assert_close(capped, 1 - hits / torch.tensor([min(k, 3), min(k, 2)]))
        weights = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]).expand(2, 5)
        given["weights"] = weights
        precision = rank_relax.precision_at_k_loss(self.scores, self.labels, k=4, **given)
        torch.testing.assert_close(precision, torch.tensor([5 / 10, 10 / 14]))
        recall = rank_relax.recall_at_k_loss(self.scores, self.labels, k=4, **given)
        torch.testing.assert_close(recall, torch.tensor([5 / 10, 1 / 5]))
        capped = rank_relax.recall_at_k_loss(self.scores, self.labels, k=2, capped=True, **given)
        torch.testing.assert_close(capped, 1 - torch.tensor([3 / 8, 4 / 5]))

    def test_by_ranks_an_item_at_place_k_counts_half(self) -> None:
        options = {"variant": "ranks", "rank_temperature": 1e-3, "reduction": "none"}
        loss = rank_relax.recall_at_k_loss(
            self.scores, self.labels, k=2, temperature=1e-4, **options
        )
        torch.testing.assert_close(loss, 1 - torch.tensor([0.5 / 3, 0.5 / 2]))

    def test_recall_by_ranks_is_the_published_code(self) -> None:
        """Its sums, for the query 0 of a batch in order of class, which it leaves out."""
        size, k_values, temperatures = 4, (1, 2, 4, 8, 16), (1.0, 2.0, 4.0, 8.0, 16.0)
        embeddings = torch.nn.functional.normalize(torch.randn(40, 5, dtype=torch.float64), dim=-1)
        similarities = embeddings @ embeddings[0]
        compared = torch.sigmoid((similarities[:, None] - similarities[None, :size]) / 0.01)
        compared[torch.arange(size), torch.arange(size)] = 0
        # It counts the query, which is above all others, and not itself.
        place = (1 + compared.sum(0))[1:]
        recalls = []
        for k, temperature in zip(k_values, temperatures, strict=True):
            found = torch.sigmoid((k - place) / temperature).sum().clamp(max=k)
            recalls.append(found / min(k, size - 1))
        loss = rank_relax.recall_at_k_loss(
            similarities,
            torch.arange(40) < size,
            # What a weight of 0 has is a place and no relevance.
            weights=(torch.arange(40) > 0).double(),
            k=k_values,
            variant="ranks",
            capped=True,
            rank_temperature=temperatures,
        )
        torch.testing.assert_close(loss, 1 - torch.stack(recalls).mean())

    def test_the_mean_of_several_k_is_that_of_their_losses(self) -> None:
        scores, labels = torch.randn(3, 30), torch.randint(0, 2, (3, 30))
        for options in ({"temperature": 0.1}, {"variant": "ranks", "capped": True}):
            losses = [
                rank_relax.recall_at_k_loss(scores, labels, k=k, **options) for k in (1, 4, 50)
            ]
            mean = rank_relax.recall_at_k_loss(scores, labels, k=[1, 4, 50], **options)
            torch.testing.assert_close(mean, torch.stack(losses).mean())

    def test_precision_has_no_gradient_where_all_are_among_the_first(self) -> None:
        scores = torch.randn(5, requires_grad=True)
        loss = rank_relax.precision_at_k_loss(scores, torch.arange(5) < 2, k=8, temperature=1.0)
        loss.backward()
        assert loss.item() == pytest.approx(1 - 2 / 8)
        assert scores.grad is not None
        assert (scores.grad == 0).all()

    def test_a_share_of_what_weighs_nothing_is_0_or_that_of_the_next(self) -> None:
        scores, labels = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1, 1, 0])
        weights = torch.tensor([0.0, 1.0, 1.0])
        for temperature, expected in ((1e-5, 1.0), (0.01, 0.0)):
            loss = rank_relax.precision_at_k_loss(
                scores, labels, k=1, weights=weights, temperature=temperature
            )
            assert loss.item() == pytest.approx(expected, abs=1e-6)

    def test_errors(self) -> None:
        x, y = torch.randn(3), torch.tensor([0, 1, 1])
        for name in ("precision_at_k", "recall_at_k"):
            function = getattr(rank_relax, f"{name}_loss")
            module = {"precision_at_k": "PrecisionAtKLoss", "recall_at_k": "RecallAtKLoss"}[name]
            kinds = "an int" if name == "precision_at_k" else "an int or a tuple of ints"
            wrong = [(0, ValueError, "k must be at least 1, got 0")]
            wrong += [(k, TypeError, f"k must be {kinds}, got") for k in (2.5, True, None, "3", ())]
            if name == "recall_at_k":
                wrong.append(((1, 2.0), TypeError, f"k must be {kinds}, got"))
                wrong.append(((1, 0), ValueError, r"k must be at least 1, got \(1, 0\)"))
            else:
                wrong.append(((1, 2), TypeError, r"k must be an int, got \(1, 2\)"))
            for k, kind, message in wrong:
                with pytest.raises(kind, match=f"^{function.__name__}: {message}"):
                    function(x, y, k=k)
                with pytest.raises(kind, match=f"^{module}: {message}"):
                    getattr(rank_relax, module)(k=k)
        for options, kind, message in (
            ({"variant": "rank"}, ValueError, "variant must be one of 'topk', 'ranks', got 'rank'"),
            ({"capped": 1}, TypeError, "capped must be a bool, got 1"),
            ({"rank_temperature": "1"}, TypeError, "rank_temperature must be a number or a tuple"),
            ({"rank_temperature": 0}, ValueError, "rank_temperature must be positive and finite"),
            (
                {"rank_temperature": (1, 2, 3)},
                ValueError,
                r"rank_temperature must have one number for each k, 2, got \(1, 2, 3\)",
            ),
        ):
            with pytest.raises(kind, match=f"^recall_at_k_loss: {message}"):
                rank_relax.recall_at_k_loss(x, y, k=(1, 2), **options)
            with pytest.raises(kind, match=f"^RecallAtKLoss: {message}"):
                rank_relax.RecallAtKLoss(k=(1, 2), **options)


class TestSmoothAP:
    """Lists that the loss makes itself: the similarities of each query to all others."""

    labels = torch.tensor([3, 1, 3, 3, 1, 7, 1, 3, 0, 0])  # of 4, 3, 2 and 1

    @staticmethod
    def by_definition(
        queries: Tensor, labels: Tensor, items: Tensor, labels_of_items: Tensor, counts: Tensor
    ) -> list[Tensor | None]:
        losses = []
        for query, label, counting in zip(queries, labels, counts, strict=True):
            similarities = torch.stack([query @ item for item in items[counting]])
            relevant = (labels_of_items[counting] == label).double()
            weights = torch.ones_like(similarities)
            losses.append(average_precision(similarities, relevant, weights, temperature=0.2))
        return losses

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    @pytest.mark.parametrize("lists", ["others", "all", "masked", "reference", "chunks"])
    def test_values_and_gradients_are_those_of_the_definition(
        self, lists: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if lists == "chunks":
            monkeypatch.setattr("rank_relax.losses.smooth_ap.ITEMS_OF_A_CHUNK", 45)
        embeddings = torch.randn(10, 4).to(dtype).requires_grad_()
        leaves, labels, arguments = [embeddings], self.labels, {"include_query": lists == "all"}
        counts = ~torch.eye(10, dtype=torch.bool) | arguments["include_query"]
        items, labels_of_items = embeddings, labels
        if lists == "reference":
            items, labels_of_items = torch.randn(6, 4).to(dtype).requires_grad_(), labels[2:8]
            leaves.append(items)
            counts = torch.rand(10, 6) < 0.8
            arguments |= {"reference": items, "reference_labels": labels_of_items}
        if lists in ("masked", "reference"):
            arguments["mask"] = torch.rand(counts.shape) < 0.8 if lists == "masked" else counts
            counts = counts & arguments["mask"]
        actual = rank_relax.smooth_ap_loss(
            embeddings, labels, temperature=0.2, reduction="none", **arguments
        )
        assert actual.dtype == dtype
        queries, items = (
            x.double() / x.double().square().sum(-1, keepdim=True).sqrt()
            for x in (embeddings, items)
        )
        losses = self.by_definition(queries, labels, items, labels_of_items, counts)
        expected = torch.stack(
            [embeddings.new_zeros(()).double() if x is None else x for x in losses]
        )
        close = {"rtol": BOUND[dtype], "atol": BOUND[dtype]}
        torch.testing.assert_close(actual.double(), expected, **close)
        gradients = torch.autograd.grad(actual.sum(), leaves, retain_graph=True)
        for gradient, wanted in zip(
            gradients, torch.autograd.grad(expected.sum(), leaves), strict=True
        ):
            torch.testing.assert_close(gradient, wanted, **close)
        mean = rank_relax.SmoothAPLoss(
            include_query=arguments.pop("include_query"), temperature=0.2
        )(embeddings, labels, **arguments)
        has_loss = torch.tensor([loss is not None for loss in losses])
        assert has_loss.all() == (lists == "all")
        torch.testing.assert_close(mean, actual[has_loss].mean())

    def test_equal_classes_and_queries_of_their_own_class_are_the_published_code(self) -> None:
        """The sums of that code, of B × B × B comparisons, over a batch in order of class."""
        classes, size, temperature = 3, 4, 0.05
        embeddings = torch.randn(12, 5, dtype=torch.float64)
        unit = torch.nn.functional.normalize(embeddings, dim=-1)
        similarities = unit @ unit.T
        compared = torch.sigmoid(
            (similarities[:, None, :] - similarities[:, :, None]) / temperature
        ) * (1 - torch.eye(12, dtype=torch.float64))
        rank = 1 + compared.sum(-1)
        precisions = []
        for query in range(12):
            begin = query // size * size
            own = slice(begin, begin + size)
            precisions.append(((1 + compared[query, own, own].sum(-1)) / rank[query, own]).mean())
        loss = rank_relax.smooth_ap_loss(
            embeddings,
            torch.arange(classes).repeat_interleave(size),
            include_query=True,
            temperature=temperature,
            reduction="none",
        )
        torch.testing.assert_close(loss, 1 - torch.stack(precisions))

    def test_derivatives_are_right_to_the_second_order(self) -> None:
        embeddings = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
        temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

        def loss(embeddings: Tensor, temperature: Tensor) -> Tensor:
            result: Tensor = rank_relax.smooth_ap_loss(
                embeddings, self.labels[:7], temperature=temperature, normalize=False
            )
            return result

        assert torch.autograd.gradcheck(loss, (embeddings, temperature))
        assert torch.autograd.gradgradcheck(loss, (embeddings, temperature), fast_mode=True)

    def test_vmap_compiled_graphs_and_meta_give_the_same(self) -> None:
        loss = rank_relax.SmoothAPLoss(temperature=0.1, reduction="none")
        embeddings = torch.randn(2, 10, 4, dtype=torch.float64)
        labels = torch.stack([self.labels, self.labels.flip(0)])
        expected = torch.stack([loss(x, y) for x, y in zip(embeddings, labels, strict=True)])
        torch.testing.assert_close(torch.vmap(loss)(embeddings, labels), expected)
        graph = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
        for some in (10, 7):
            torch.testing.assert_close(
                graph(embeddings[0, :some], labels[0, :some]),
                loss(embeddings[0, :some], labels[0, :some]),
            )
        assert loss(embeddings[0].to("meta"), self.labels.to("meta")).shape == (10,)

    def test_what_is_not_known_is_nan_and_what_does_not_count_may_be_anything(self) -> None:
        embeddings = torch.randn(10, 4)
        embeddings[5] = nan
        mask = torch.ones(10, 10, dtype=torch.bool)
        mask[:, 5] = False
        losses = rank_relax.smooth_ap_loss(embeddings, self.labels, mask=mask, reduction="none")
        assert losses[5].isnan()  # of the query itself
        without = [i for i in range(10) if i != 5]
        expected = rank_relax.smooth_ap_loss(
            embeddings[without], self.labels[without], reduction="none"
        )
        torch.testing.assert_close(losses[without], expected)
        assert rank_relax.smooth_ap_loss(embeddings, self.labels, reduction="none").isnan().all()

    def test_batches_without_a_pair_of_a_class_have_no_loss(self) -> None:
        for number in (0, 1, 5):
            embeddings = torch.randn(number, 3, requires_grad=True)
            loss = rank_relax.smooth_ap_loss(embeddings, torch.arange(number))
            loss.backward()
            assert loss == 0
            assert embeddings.grad is not None
            assert (embeddings.grad == 0).all()
        nothing = {"reference": torch.ones(0, 3), "reference_labels": torch.arange(0)}
        assert rank_relax.smooth_ap_loss(torch.ones(2, 3), torch.arange(2), **nothing) == 0

    @pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
    def test_half_precisions_are_computed_in_float32(self, half: torch.dtype) -> None:
        embeddings = torch.randn(10, 4).to(half)
        in_float32 = rank_relax.smooth_ap_loss(embeddings.float(), self.labels)
        actual = rank_relax.smooth_ap_loss(embeddings, self.labels)
        assert actual.dtype == half
        assert actual == in_float32.to(half)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert rank_relax.smooth_ap_loss(embeddings, self.labels) == in_float32

    def test_errors_name_the_argument_and_what_to_do(self) -> None:
        x, y = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
        square = torch.ones(4, 4, dtype=torch.bool)
        for arguments, kind, message in (
            (
                (x[0], y),
                ValueError,
                r"embeddings must be \[B, D\], one in each row, got shape \[3\]",
            ),
            ((x.long(), y), TypeError, "embeddings must be float64, float32, bfloat16 or float16"),
            ((x, y.float()), TypeError, r"labels must be of an integer dtype .* labels.long\(\)"),
            ((x, y[1:]), ValueError, r"labels must have one class for each row .* 4, got shape"),
            ((x, y, x), ValueError, "reference and reference_labels must be given together"),
            ((x, y, x[:, 1:], y), ValueError, "reference must have as many columns .* 3, got 2"),
            ((x, y, x, y[1:]), ValueError, "reference_labels must have one class for each row of"),
            ((x, y, None, None, square[1:]), ValueError, "mask must have the shape of the simil"),
            ((x, y, None, None, square.float()), TypeError, "mask must be bool"),
        ):
            with pytest.raises(kind, match=f"^smooth_ap_loss: {message}"):
                rank_relax.SmoothAPLoss()(*arguments)
        with pytest.raises(ValueError, match=r"^smooth_ap_loss: include_query must be false with"):
            rank_relax.SmoothAPLoss(include_query=True)(x, y, x, y)
        for options, kind, message in (
            ({"include_query": 1}, TypeError, "include_query must be a bool, got 1"),
            ({"normalize": None}, TypeError, "normalize must be a bool, got None"),
            ({"temperature": 0.0}, ValueError, "temperature must be positive and finite, got 0"),
            ({"reduction": "max"}, ValueError, "reduction must be one of 'mean'"),
        ):
            with pytest.raises(kind, match=f"^SmoothAPLoss: {message}"):
                rank_relax.SmoothAPLoss(**options)
            with pytest.raises(kind, match=f"^smooth_ap_loss: {message}"):
                rank_relax.smooth_ap_loss(x, y, **options)


MODULES: list[Any] = [
    rank_relax.NDCGLoss(k=2, gain="linear", temperature=0.5),
    rank_relax.MRRLoss(relevant="all"),
    rank_relax.AveragePrecisionLoss(temperature=0.2, reduction="sum"),
    rank_relax.AUCLoss(surrogate="squared_hinge", margin=2.0),
    rank_relax.ListNetLoss(shares="proportional"),
    rank_relax.CoSENTLoss(temperature=0.3),
    rank_relax.PairwiseLogisticLoss(normalize="pairs"),
    rank_relax.KendallLoss(variant="a"),
    rank_relax.ADRMSELoss(temperature=0.5),
    rank_relax.NormalScoresLoss(variant="numerai"),
    rank_relax.TopKCrossEntropyLoss(probabilities=(0.4, 0.6)),
    rank_relax.PartialAUCLoss(fpr=(0.1, 0.5), selection="soft", surrogate="logistic"),
    rank_relax.LambdaLoss(scheme="ndcg2", k=3, gain="linear"),
    rank_relax.ListMLELoss(ties="breslow", position_weights="exp2"),
    rank_relax.PrecisionAtKLoss(k=4),
    rank_relax.RecallAtKLoss(k=(1, 5), variant="ranks", rank_temperature=(1, 2.5)),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
class TestModules:
    def test_they_are_their_functions(self, module: Any) -> None:
        scores, labels = torch.randn(4, 9), torch.randint(0, 3, (4, 9))
        given = {"mask": torch.rand(4, 9) < 0.8, "weights": torch.rand(4, 9)}
        expected = type(module).function(
            scores, labels, **given, temperature=module.temperature, **module.options
        )
        torch.testing.assert_close(module(scores, labels, **given), expected)

    def test_temperatures_are_learnt(self, module: Any) -> None:
        parameter = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
        learner = type(module)(temperature=parameter, **module.options)
        assert list(learner.parameters()) == [parameter]
        scores, labels = torch.randn(4, 9, dtype=torch.float64), torch.randint(0, 3, (4, 9))

        for wrong in (0.0, -1.0, nan):
            assert type(module)(temperature=torch.tensor(wrong), **module.options)(
                scores, labels
            ).isnan()

        def at(temperature: Tensor) -> Tensor:
            result: Tensor = type(module).function(
                scores, labels, temperature=temperature, **module.options
            )
            return result

        assert torch.autograd.gradcheck(at, (parameter,))
        torch.testing.assert_close(learner(scores, labels), at(parameter))

    def test_they_say_what_they_are(self, module: Any) -> None:
        for name, value in {**module.options, "temperature": module.temperature}.items():
            assert f"{name}={value!r}" in repr(module)


LOSSES = [rank_relax.ndcg_loss, rank_relax.mrr_loss]
LOSSES += [rank_relax.average_precision_loss, rank_relax.auc_loss]
LOSSES += [rank_relax.listnet_loss, rank_relax.cosent_loss]
LOSSES += [rank_relax.pairwise_logistic_loss, rank_relax.kendall_loss]
LOSSES += [rank_relax.adr_mse_loss, rank_relax.partial_auc_loss]
LOSSES += [rank_relax.normal_scores_loss, rank_relax.topk_cross_entropy_loss]
LOSSES += [concordance_loss, rank_relax.listmle_loss, rank_relax.lambda_loss]
LOSSES += [precision_at_k_loss, recall_at_k_loss]
every_function = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)


@every_function
def test_half_precisions_are_computed_in_float32(loss: Any, subtests: pytest.Subtests) -> None:
    for half in (torch.bfloat16, torch.float16):
        scores, labels = torch.randn(5, 40).to(half), torch.randint(0, 2, (5, 40))
        with subtests.test(half=half):
            actual = loss(scores, labels)
            assert actual.dtype == half
            assert actual == loss(scores.float(), labels).to(half)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert loss(scores, labels).dtype == torch.float32


@every_loss
def test_lists_without_items_have_no_loss(
    loss: Any, definition: Any, options: dict[str, Any]
) -> None:
    for shape in ((0,), (3, 0), (0, 4)):
        scores = torch.randn(shape, requires_grad=True)
        result = loss(scores, torch.ones(shape), **options)
        result.backward()
        assert result == 0
        assert scores.grad is not None
    masked = torch.randn(2, 3, requires_grad=True)
    result = loss(masked, torch.ones(2, 3), mask=torch.zeros(2, 3, dtype=torch.bool), **options)
    result.backward()
    assert result == 0
    assert (masked.grad == 0).all()


# The softmax of equal labels is a target too, their ranks are, and their order has a likelihood.
@cases(
    lambda loss, options: (
        (loss, options) != (rank_relax.listnet_loss, {})
        and loss not in (rank_relax.adr_mse_loss, rank_relax.listmle_loss)
        and options.get("ties") is None
    )
)
def test_infinities_in_a_list_without_a_loss_have_no_gradient(
    loss: Any, definition: Any, options: dict[str, Any]
) -> None:
    scores = torch.tensor([[1.0, 0.0], [-inf, 0.0]], requires_grad=True)
    losses = loss(scores, torch.tensor([[1, 0], [0, 0]]), **options, reduction="none")
    assert losses[1] == 0
    losses.sum().backward()
    assert scores.grad is not None
    assert scores.grad[0].isfinite().all()
    assert (scores.grad[1] == 0).all()


@every_loss
def test_what_is_not_finite_stays_in_its_list(
    loss: Any, definition: Any, options: dict[str, Any]
) -> None:
    scores, labels = torch.randn(3, 6), torch.tensor([1, 0, 1, 0, 0, 1]).expand(3, 6)
    expected = loss(scores[::2], labels[::2], **options, reduction="none")
    for unknown in ("scores", "labels", "weights"):
        x, y, w = scores.clone(), labels.float(), torch.ones(3, 6)
        {"scores": x, "labels": y, "weights": w}[unknown][1, 2] = nan
        x.requires_grad_()
        shapes = [((3, 6), {}), ((18,), {"offsets": torch.arange(0, 19, 6)})]
        for shape, arguments in shapes[: 1 if loss is OF_ROWS_ALONE else 2]:
            arguments = {"weights": w.reshape(shape), **arguments, **options}
            losses = loss(x.reshape(shape), y.reshape(shape), **arguments, reduction="none")
            assert losses[1].isnan()
            torch.testing.assert_close(losses[::2], expected)
            (gradient,) = torch.autograd.grad(losses[::2].sum(), x)
            assert gradient[::2].isfinite().all()


@every_function
def test_errors_name_the_argument_and_what_to_do(loss: Any) -> None:
    name, x, y = loss.__name__, torch.randn(2, 3), torch.ones(2, 3)
    ends = torch.tensor([0, 2, 6])
    of_offsets = (
        (lambda: loss(x, y, offsets=ends), ValueError, r"with offsets, scores must be \[N\]"),
        (
            lambda: loss(x.flatten(), y.flatten(), offsets=ends.int()),
            TypeError,
            r"offsets must be int64, got int32; convert it with offsets.long\(\)",
        ),
        (
            lambda: loss(x.flatten(), y.flatten(), offsets=ends[:1]),
            ValueError,
            r"offsets must be \[L \+ 1\], .* got shape \[1\]",
        ),
    )
    if loss is OF_ROWS_ALONE:
        message = "offsets is not supported; pad the lists to rows and give a mask"
        of_offsets = ((lambda: loss(x.flatten(), y.flatten(), offsets=ends), ValueError, message),)
    for call, kind, message in (
        *of_offsets,
        (lambda: loss([1.0], y), TypeError, "scores must be a torch.Tensor, got list"),
        (lambda: loss(x.long(), y), TypeError, "scores must be float64, float32, bfloat16"),
        (lambda: loss(x, y[0]), ValueError, r"\w+ must have the shape of scores, \[2, 3\]"),
        (lambda: loss(x, y, mask=y), TypeError, "mask must be bool"),
        (lambda: loss(x, y, weights=y.long()), TypeError, "weights must be float64, float32"),
        (lambda: loss(x, y, weights=y[0]), ValueError, "weights must have the shape of scores"),
        (lambda: loss(x, y, temperature=0.0), ValueError, "temperature must be positive and"),
        (lambda: loss(x, y, temperature=1e-320), ValueError, "1 / temperature must be .* smaller"),
        (lambda: loss(x, y, temperature="1"), TypeError, "temperature must be a float or a 0-dim"),
        (lambda: loss(x, y, reduction="max"), ValueError, "reduction must be one of 'mean'"),
    ):
        with pytest.raises(kind, match=f"^{name}: {message}"):
            call()


@every_loss_of_ragged_lists
def test_offsets_that_do_not_cut_the_items_are_an_error(
    loss: Any, definition: Any, options: dict[str, Any]
) -> None:
    message = f"^{loss.__name__}: offsets must rise from 0 to the number of items, 6"
    for wrong in ([0, 4, 2, 6], [0, 2, 5], [0, 9], [1, 6], [-3, 6]):
        with pytest.raises(ValueError, match=message):
            loss(torch.randn(6), torch.arange(6), offsets=torch.tensor(wrong), **options)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"k": 0}, ValueError, "k must be at least 1, got 0"),
        ({"k": 2.5}, TypeError, "k must be an int or None, got 2.5"),
        ({"gain": "exp"}, ValueError, "gain must be one of 'exp2', 'linear', got 'exp'"),
        ({"normalize": 1}, TypeError, "normalize must be a bool, got 1"),
    ],
)
def test_errors_of_ndcg(options: dict[str, Any], kind: Any, message: str) -> None:
    with pytest.raises(kind, match=f"^ndcg_loss: {message}"):
        rank_relax.ndcg_loss(torch.randn(3), torch.ones(3), **options)
    with pytest.raises(kind, match=f"^NDCGLoss: {message}"):
        rank_relax.NDCGLoss(**options)


def test_errors_of_the_other_options() -> None:
    x, y = torch.randn(3), torch.tensor([0, 1, 1])
    with pytest.raises(ValueError, match=r"^auc_loss: surrogate must be one of 'sigmoid'"):
        rank_relax.auc_loss(x, y, surrogate="hinge")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^AUCLoss: margin must be a number, got '1'"):
        rank_relax.AUCLoss(margin="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^auc_loss: margin must be finite, got inf"):
        rank_relax.auc_loss(x, y, margin=inf)
    with pytest.raises(TypeError, match=r"^partial_auc_loss: fpr must be a number or two, .* '1'"):
        rank_relax.partial_auc_loss(x, y, fpr="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^PartialAUCLoss: fpr must hold 0 <= low < high <= 1, "):
        rank_relax.PartialAUCLoss(fpr=(0.5, 0.5))
    with pytest.raises(ValueError, match=r"^PartialAUCLoss: selection must be one of 'hard', 'so"):
        rank_relax.PartialAUCLoss(selection="top")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^NormalScoresLoss: variant must be one of 'blom', 'num"):
        rank_relax.NormalScoresLoss(variant="rank")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^listnet_loss: shares must be one of 'softmax', 'prop"):
        rank_relax.listnet_loss(x, y, shares="exp")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^MRRLoss: relevant must be one of 'first', 'all'"):
        rank_relax.MRRLoss(relevant="last")  # type: ignore[arg-type]


def test_wrong_orders_by_far_have_finite_losses() -> None:
    scores = torch.tensor([0.0, 36.0], requires_grad=True)
    loss = rank_relax.cosent_loss(scores, torch.tensor([1, 0]))
    (gradient,) = torch.autograd.grad(loss, scores)
    assert loss.item() == pytest.approx(720)
    torch.testing.assert_close(gradient, torch.tensor([-20.0, 20.0]))


@pytest.mark.parametrize("loss", ["cosent_loss", "listnet_loss", "auc_loss"])
def test_scores_far_from_0_keep_the_digits_of_their_differences(loss: str) -> None:
    options = {"surrogate": "squared_hinge"} if loss == "auc_loss" else {}
    function = functools.partial(getattr(rank_relax, loss), temperature=0.05, **options)
    scores, labels = 1e5 + torch.randn(50), (torch.randn(50) > 0).float()
    torch.testing.assert_close(
        function(scores, labels), function(scores.double(), labels).float(), rtol=1e-6, atol=0
    )


def test_means_over_pairs_are_of_half_precision_and_in_no_unit_of_the_weights() -> None:
    loss = functools.partial(rank_relax.pairwise_logistic_loss, normalize="pairs")
    scores, labels = torch.randn(2, 500), torch.randn(2, 500)
    torch.testing.assert_close(
        loss(scores.half(), labels).float(), loss(scores, labels), rtol=2e-3, atol=0
    )
    for scale in (1e-30, 1e18, 1e25):
        weighted = loss(scores, labels, weights=torch.full_like(scores, scale))
        torch.testing.assert_close(weighted, loss(scores, labels))
    weights = torch.tensor([1e20, 1e-15])
    total = rank_relax.pairwise_logistic_loss(
        torch.tensor([0.1, 0.5]), torch.tensor([1, 0]), weights=weights, normalize="sum"
    )
    assert total.item() == pytest.approx(1e5 * math.log1p(math.exp(0.4)))


def test_one_weight_above_all_leaves_kendall_its_digits() -> None:
    scores, labels = torch.tensor([0.1, 0.5, 0.3]), torch.tensor([2, 1, 0])
    for small in (1e-4, 1e-8):
        weights = torch.tensor([1.0, small, small])
        found = rank_relax.kendall_loss(scores, labels, weights=weights, variant="a")
        expected = kendall(scores.double(), labels, weights.double(), variant="a")
        assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_listnet_takes_no_notice_of_labels_without_weight() -> None:
    scores, labels = torch.tensor([0.1, 0.5, 0.3]), torch.tensor([0.0, 0.0, 1.0])
    weights = torch.tensor([0.0, 1.0, 1.0])
    expected = rank_relax.listnet_loss(scores, labels, weights=weights)
    for highest in (50.0, 103.0, 200.0):
        labels[0] = highest
        torch.testing.assert_close(
            rank_relax.listnet_loss(scores, labels, weights=weights), expected
        )
    labels = torch.tensor([-100.0, -101.0, 5.0], requires_grad=True)
    mask = torch.tensor([True, True, False])
    loss = rank_relax.listnet_loss(torch.tensor([0.1, 0.5, 9.0]), labels, mask=mask)
    (gradient,) = torch.autograd.grad(loss, labels)
    torch.testing.assert_close(gradient, torch.tensor([0.0786, -0.0786, 0.0]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_an_infinite_or_unknown_score_leaves_the_temperature_its_gradient(loss: Any) -> None:
    """That of another list, and within one, where infinities are the limit."""
    temperature = torch.tensor(1.0, requires_grad=True)
    for unknown in (-torch.inf, torch.nan):
        scores = torch.tensor([[0.1, 0.5, unknown], [0.1, 0.2, 0.3]], requires_grad=True)
        labels = torch.tensor([[1, 0, 0], [1, 0, 0]])
        losses = loss(scores, labels, temperature=temperature, reduction="none")
        gradients = torch.autograd.grad(losses[1], [temperature, scores], retain_graph=True)
        assert gradients[0].isfinite()
        assert gradients[1][1].isfinite().all()
        if losses[0].isnan():
            (gradient,) = torch.autograd.grad(losses[0], scores, retain_graph=True)
            assert gradient[0].isnan().all()
            assert (gradient[1] == 0).all()


@pytest.mark.parametrize("light", [1e-6, 1e-12, 1e-18])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_light_item_and_its_equal_make_a_pair(light: float, dtype: torch.dtype) -> None:
    """Whose weight is nothing beside the heavy one's own square."""
    scores = torch.tensor([0.0, 40.0], dtype=dtype, requires_grad=True)
    weights = torch.tensor([1.0, light], dtype=dtype)
    loss = rank_relax.pairwise_logistic_loss(scores, torch.ones(2), weights=weights, ties="half")
    torch.testing.assert_close(loss, torch.tensor(20.0, dtype=dtype))
    (gradient,) = torch.autograd.grad(loss, scores)
    torch.testing.assert_close(gradient, torch.tensor([-0.5, 0.5], dtype=dtype))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("loss", ["lambda_loss", "cosent_loss"])
def test_what_a_trace_cannot_hold_is_refused(loss: str) -> None:
    function = getattr(rank_relax, loss)
    arguments = torch.randn(20), torch.rand(20)
    with pytest.raises(NotImplementedError, match=f"{loss}: torch.jit.trace would fix the number"):
        torch.jit.trace(lambda s, y: function(s, y), arguments)  # type: ignore[no-untyped-call]
    graph = make_fx(lambda s, y: function(s, y))(*arguments)
    torch.testing.assert_close(graph(*arguments), function(*arguments))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_of_ordered_pairs_takes_lists_of_any_length() -> None:
    for function in (rank_relax.pairwise_logistic_loss, rank_relax.kendall_loss):
        trace = torch.jit.trace(  # type: ignore[no-untyped-call]
            lambda s, y, function=function: function(s, y), (torch.randn(20), torch.randn(20))
        )
        other = torch.randn(700), torch.randn(700)
        torch.testing.assert_close(trace(*other), function(*other))
    with FakeTensorMode():
        assert function(torch.randn(3, 20), torch.randn(3, 20), reduction="none").shape == (3,)
