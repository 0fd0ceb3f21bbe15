"""The likelihood of the order of the labels."""

from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import Strength, checked_temperature, widest_dtype
from rank_relax.losses._lists import LOG_OF_NOTHING, Lists, log_of_sum
from rank_relax.losses._module import RankingLoss

Ties = Literal["efron", "breslow", "random"]
PositionWeights = Literal["uniform", "exp2"]


@public
def listmle_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    ties: Ties = "efron",
    position_weights: PositionWeights = "uniform",
    generator: torch.Generator | None = None,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Minus the log-likelihood of the labels' order if items are drawn by softmax (ListMLE).

    .. math:: L = \sum_{k=1}^n p_k \Bigl(\log \sum_{j=k}^n e^{s_j / T} - \frac{s_k}{T}\Bigr)

    over the places k in falling order of the labels: the Plackett-Luce model, and with minus times
    for labels the partial likelihood of Cox's regression, if nothing is censored. In O(n log n)
    time and O(n) memory.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        ties: What becomes of equal labels, as for Cox's model: ``"efron"``, the sum at the l-th of
            d places that they share has them less their share (l - 1) / d; ``"breslow"``, all of
            them, at each; or ``"random"``, one order of them at random.
        position_weights: ``"uniform"``, p = 1, or ``"exp2"``, p-ListMLE's 2^(n-k) - 1 over their
            sum, which leaves the top few to matter. Equal labels share theirs.
        generator: Of the random order of ties; torch's own if not given.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Case weights as in Cox's model, from 0 up, of the shape of ``scores``: factors of
            an item's exponential and of its term; with equal labels, the sums have their mean. An
            item of weight 0 has no place.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores. A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list of fewer than two items has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Xia, Liu, Wang, Zhang, Li, "Listwise approach to learning to rank: theory and algorithm",
        2008. Lan, Zhu, Guo, Niu, Cheng, "Position-aware ListMLE: a sequential learning process for
        ranking", 2014. Efron, "The efficiency of Cox's likelihood function for censored data",
        1977. Breslow, "Covariance analysis of censored survival data", 1974.

    Example:
        >>> import torch, rank_relax
        >>> scores, labels = torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1, 0, 2])
        >>> rank_relax.listmle_loss(scores, labels)
        tensor(1.2904)
        >>> rank_relax.listmle_loss(scores, torch.tensor([0, 0, 1]), ties="breslow")
        tensor(2.0885)
    """
    strength = checked_temperature("listmle_loss", temperature)
    check_listmle_options("listmle_loss", ties, position_weights, reduction)
    _check_generator("listmle_loss", generator, ties)
    lists = Lists("listmle_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    keys = _shuffled(lists, generator) if ties == "random" else lists.keys
    order = lists.order(keys, descending=False)  # what is drawn from at a place runs up to it
    equals = _Equals(lists, keys.gather(-1, order))
    precision = widest_dtype(scores.device)
    weight = lists.weighted(torch.ones_like(lists.scores)).gather(-1, order).to(precision)
    counts = weight > 0
    up_to_each = lists.running_sum(counts)
    number = lists.sum(counts.to(precision))
    lists.leave_out_unless(number > 1)
    scaled = lists.subtracted(strength).gather(-1, order).to(precision)
    logs = scaled + torch.where(counts, weight, 1).log()
    logs = torch.where(counts, logs, LOG_OF_NOTHING)
    below = equals.before(lists.running_logsumexp(logs), LOG_OF_NOTHING)
    own = equals.logsumexp(logs)
    members = equals.sum(counts.to(precision)).clamp(min=1)
    if ties == "efron":
        remaining = up_to_each - equals.before(up_to_each, 0)
        own = own + torch.where(counts, remaining / members, 1).log()
    if position_weights == "exp2":
        of_place = _exp2_weights(lists.to_items(number), up_to_each)
    else:
        of_place = torch.ones_like(up_to_each)
    of_place = torch.where(counts, of_place, 0)
    drawn_from = of_place * equals.sum(weight) / members * log_of_sum(below, own)
    drawn = equals.sum(of_place) / members * weight * scaled
    return lists.reduced(lists.sum(torch.where(counts, drawn_from - drawn, 0)), reduction)


def check_listmle_options(
    function: str, ties: object, position_weights: object, reduction: object
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "ties", ties, ("efron", "breslow", "random"))
    check_choice(function, "position_weights", position_weights, ("uniform", "exp2"))
    check_reduction(function, reduction)


def _check_generator(function: str, generator: object, ties: str) -> None:
    if generator is None:
        return
    if not isinstance(generator, torch.Generator):
        raise TypeError(f"{function}: generator must be a torch.Generator, got {generator!r}")
    if ties != "random":
        raise ValueError(
            f"{function}: generator is for ties='random', got ties={ties!r}, which takes none"
        )


def _shuffled(lists: Lists, generator: torch.Generator | None) -> Tensor:
    """Keys in the order of the labels, and in one at random where these are equal."""
    rank = lists.dense_rank(lists.keys)
    device = rank.device
    more = torch.rand(rank.shape, dtype=widest_dtype(device), device=device, generator=generator)
    return rank + more / 2


def _exp2_weights(number: Tensor, up_to_each: Tensor) -> Tensor:
    """(2^(n-k) - 1) / Σ, at place k from the top, of lists in rising order, without 2^n."""
    least = torch.exp2(-number)
    weights = torch.exp2(up_to_each - 1 - number) - least
    total = 1 - (number + 1) * least
    return weights / torch.where(total > 0, total, 1)


class _Equals:
    """The groups of equal keys of sorted lists."""

    def __init__(self, lists: Lists, key: Tensor) -> None:
        self.lists = lists
        self.key = key
        self.group = lists.begins_equals(key).cumsum(-1) - 1

    def before(self, up_to_each: Tensor, nothing: float) -> Tensor:
        """What runs up to each item, up to the last before its group."""
        return self.lists.before_equals(self.key, up_to_each, nothing)

    def sum(self, items: Tensor) -> Tensor:
        """The sum of its group for each item."""
        sums = torch.zeros_like(items).scatter_add(-1, self.group, items)
        return sums.gather(-1, self.group)

    def logsumexp(self, items: Tensor) -> Tensor:
        """Log Σ exp of its group for each item."""
        most = torch.full_like(items, LOG_OF_NOTHING)
        most = most.scatter_reduce(-1, self.group, items.detach(), "amax").gather(-1, self.group)
        return most + self.sum(torch.exp(items - most)).log()


class ListMLELoss(RankingLoss):
    """Minus the log-likelihood of the labels' order, as a module.

    Args:
        ties: ``"efron"``, ``"breslow"`` or ``"random"``, by torch's own generator, as in
            :func:`listmle_loss`, like all that follow.
        position_weights: ``"uniform"``, or ``"exp2"`` for p-ListMLE.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`listmle_loss` would refuse; when called, as
            it does.

    References:
        Those of :func:`listmle_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.ListMLELoss(position_weights="exp2")
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1, 0, 2]))
        tensor(0.6687)
    """

    function = staticmethod(listmle_loss)

    def __init__(
        self,
        *,
        ties: Ties = "efron",
        position_weights: PositionWeights = "uniform",
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_listmle_options("ListMLELoss", ties, position_weights, reduction)
        super().__init__(
            temperature, ties=ties, position_weights=position_weights, reduction=reduction
        )
