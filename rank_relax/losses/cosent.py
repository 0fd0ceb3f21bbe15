"""The exponential loss of all ordered pairs, under a logarithm."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import LOG_OF_NOTHING, Lists
from rank_relax.losses._module import RankingLoss


@public
def cosent_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.05,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The logarithm of one and the exponentials of all pairs in the wrong order (CoSENT).

    .. math:: L = \log \Bigl(1 + \sum_{y_i > y_j} e^{(s_j - s_i) / T}\Bigr)

    in O(n log n) time, and memory where a gradient is wanted, not over the pairs.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16. A
            batch of sentence pairs is one list of its similarities.
        labels: Of the shape of ``scores`` and any real dtype.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either item, from 0 up, of the shape of ``scores``: a pair has the product.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores; the published scale of 20 is 1/T. A 0-dim tensor
            makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list in which all labels are equal has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Su, "CoSENT: a more efficient sentence vector scheme than Sentence-BERT", 2022
        (kexue.fm/archives/8847).

    Example:
        >>> import torch, rank_relax
        >>> similarities, labels = torch.tensor([0.3, 0.1, 0.4]), torch.tensor([0.5, 0.0, 1.0])
        >>> rank_relax.cosent_loss(similarities, labels)
        tensor(0.1451)
    """
    strength = checked_temperature("cosent_loss", temperature)
    check_reduction("cosent_loss", reduction)
    lists = Lists("cosent_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    order = lists.order(lists.keys, descending=False)
    key = lists.keys.gather(-1, order)
    weight = lists.weighted(torch.ones_like(lists.scores)).gather(-1, order)
    lower = lists.before_equals(key, lists.running_sum(weight), 0)
    lists.leave_out_unless(lists.sum(weight * lower) > 0)
    scaled = lists.subtracted(strength).gather(-1, order)
    counts = weight > 0
    log_weight = torch.where(counts, torch.where(counts, weight, 1).log(), LOG_OF_NOTHING)
    below = lists.running_logsumexp(torch.where(counts, scaled + log_weight, LOG_OF_NOTHING))
    below = lists.before_equals(key, below, LOG_OF_NOTHING)
    pairs = lists.logsumexp(torch.where(counts, below - scaled + log_weight, LOG_OF_NOTHING))
    # softplus rounds beyond a threshold, and overflows without one.
    return lists.reduced(-torch.nn.functional.logsigmoid(-pairs), reduction)


class CoSENTLoss(RankingLoss):
    """The logarithm of one and the exponentials of all pairs in the wrong order, as a module.

    Args:
        temperature: As in :func:`cosent_loss`. A ``nn.Parameter`` is learnt; another 0-dim tensor
            becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`cosent_loss` would refuse; when called, as
            it does.

    References:
        Those of :func:`cosent_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.CoSENTLoss(temperature=0.1)
        >>> loss(torch.tensor([0.3, 0.1, 0.4]), torch.tensor([0, 1, 2]))
        tensor(2.1755)
    """

    function = staticmethod(cosent_loss)

    def __init__(self, *, temperature: Strength = 0.05, reduction: Reduction = "mean") -> None:
        check_reduction("CoSENTLoss", reduction)
        super().__init__(temperature, reduction=reduction)
