"""Ranking losses as objectives of gradient boosting: LightGBM's and XGBoost's.

Nothing here needs either library, nor NumPy before an objective is called with its arrays.
"""

import inspect
import warnings
from typing import Any

import torch
from torch import Tensor

from rank_relax import losses
from rank_relax._checks import INTEGERS, check_choice
from rank_relax._strength import NUMBERS, as_float, name_of
from rank_relax.losses._curvature import curvature, least_curvature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss

LOSSES: dict[str, type[RankingLoss]] = {
    "ndcg": losses.NDCGLoss,
    "mrr": losses.MRRLoss,
    "average_precision": losses.AveragePrecisionLoss,
    "auc": losses.AUCLoss,
    "kendall": losses.KendallLoss,
    "pairwise_logistic": losses.PairwiseLogisticLoss,
    "listnet": losses.ListNetLoss,
    "cosent": losses.CoSENTLoss,
}

# Of a Hessian, as XGBoost has it: in float32 it is still above 0.
_FLOOR = 1e-16


def objective(name: str, *, scale: float = 1.0, **options: Any) -> "Objective":
    r"""A ranking loss as an objective of LightGBM or XGBoost, which grow trees of its derivatives.

    The loss is summed over the lists, so that each has the same say; its gradient is that of the
    loss. In place of the Hessian there is a diagonal that is above 0: the exact one of
    ``"pairwise_logistic"``, of ``"listnet"`` (p (1 - p) / T², p the softmax) and of ``"auc"`` with
    a convex surrogate. The others have second derivatives of either sign, and

    .. math:: h_k = \frac{1}{T} \sum_j |f_{jk}|

    of the forces :math:`f_{jk}` by which the items j pull and push the score of item k, whose sum
    is the gradient: a bound of what these pairs add to the second derivative while their weights
    stay, as in LambdaRank, and no step, gradient / h, is longer than the temperature T.

    Args:
        name: ``"ndcg"``, ``"mrr"``, ``"average_precision"``, ``"auc"``, ``"kendall"``,
            ``"pairwise_logistic"``, ``"listnet"`` or ``"cosent"``.
        scale: What gradient and Hessian are multiplied by: it changes no step, but what limits of
            Hessians and L2 penalties of the library mean. See below.
        **options: Of the loss, such as ``k`` and ``temperature``: those of its module.
            ``temperature`` is the unit of the scores that are learnt.

    Returns:
        A callable for ``LGBMRanker(objective=...)``, which calls it with (y_true, y_pred, weight,
        group); for ``lightgbm.train({"objective": ...}, ...)`` and ``xgboost.train(..., obj=...)``,
        which call it with (scores, data set); and for XGBoost's ``XGBRegressor(objective=...)``,
        with (y_true, y_pred), where all rows are one list. It returns gradient and Hessian, [n], of
        the dtype of the scores [n]. Without groups all rows are one list. Labels are any real
        numbers that the loss takes, lists of any length. Weights are those of the loss, one a row,
        or, as XGBoost has them in ranking, one a list, which multiplies its loss. It can be copied
        and pickled (with a ``gain`` that can).

    Raises:
        TypeError: for an option that the loss does not have, or of a type that it does not take;
            when called, for what is no array or of a dtype that is not real.
        ValueError: for a name or an option's value that there is not; when called, for shapes
            that do not fit, groups that do not add up to the rows, and values that are not finite.

    Trees begin with equal scores, at which all soft positions are in the middle of their list.
    There ``"ndcg"`` with ``k`` has no gradient in lists of more than 2 k items: they teach nothing
    until others have moved their items. Leave ``k`` out where lists are that long.

    A library's defaults are made for Hessians of about 1/4 a row, and losses of lists have about
    1/n, divided by the square of the temperature. LightGBM's ``min_sum_hessian_in_leaf`` of 0.001
    is passed by most leaves; XGBoost's ``min_child_weight`` and ``reg_lambda`` of 1 are not small
    beside that: set them to 0, or ``scale`` to the mean length of a list.

    References:
        Burges, "From RankNet to LambdaRank to LambdaMART: an overview", 2010.

    Example:
        >>> import numpy, rank_relax
        >>> loss = rank_relax.boosting.objective("ndcg", k=10, temperature=1.0)
        >>> labels, scores = numpy.array([1.0, 0.0, 2.0]), numpy.array([0.3, 0.1, 0.9])
        >>> gradient, hessian = loss(labels, scores, None, numpy.array([3]))
        >>> gradient.round(3)
        array([ 0.028,  0.06 , -0.088])
    """
    check_choice("objective", "name", name, tuple(LOSSES))
    check_options(name, options)
    if isinstance(scale, bool) or not isinstance(scale, NUMBERS):
        raise TypeError(f"objective: scale must be a number, got {scale!r}")
    if not 0 < as_float(scale) < torch.inf:
        raise ValueError(f"objective: scale must be positive and finite, got {scale}")
    return Objective(LOSSES[name](**options, reduction="none"), as_float(scale))


def check_options(name: str, options: dict[str, Any]) -> None:
    """Raises for options that the loss of this name does not have, or that trees cannot learn."""
    known = list(inspect.signature(LOSSES[name]).parameters)
    known.remove("reduction")
    for option in options:
        if option not in known:
            raise TypeError(
                f"objective: {name!r} has no option {option!r}; it has {', '.join(known)}"
            )
    if isinstance(options.get("temperature"), Tensor):
        raise TypeError(
            "objective: temperature must be a float, got a tensor, which trees cannot learn; use "
            "temperature.item()"
        )


class Objective:
    """What :func:`objective` returns."""

    def __init__(self, loss: RankingLoss, scale: float) -> None:
        self.loss = loss
        self.scale = scale

    # LightGBM counts the parameters, and XGBoost looks for one called sample_weight.
    def __call__(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, group: Any = None
    ) -> tuple[Any, Any]:
        """Gradient and Hessian of (labels, scores, weights, groups) or (scores, data set)."""
        if hasattr(y_pred, "get_label"):
            scores, data = y_true, y_pred
            y_true, y_pred = data.get_label(), scores
            sample_weight, group = data.get_weight(), data.get_group()
        scores, labels, weights, offsets = read(y_true, y_pred, sample_weight, group)
        with torch.inference_mode(False), torch.enable_grad():
            gradient, hessian = self._derivatives(scores, labels, weights, offsets)
        return gradient.to(scores.dtype).numpy(), hessian.to(scores.dtype).numpy()

    def _derivatives(
        self, scores: Tensor, labels: Tensor, weights: Tensor | None, offsets: Tensor
    ) -> tuple[Tensor, Tensor]:
        of_list = scores.new_full((len(offsets) - 1,), self.scale)
        if weights is not None and len(weights) != len(scores):
            of_list, weights = of_list * weights, None
        given: dict[str, Any] = {"mask": None, "weights": weights, "offsets": offsets}
        leaf = scores.clone().requires_grad_()
        losses = self.loss(leaf, labels, **given)
        (gradient,) = torch.autograd.grad(losses @ of_list.to(losses.dtype), leaf)
        lists = Lists("objective", scores, labels, **given)
        hessian = curvature(self.loss, lists) * lists.to_items(of_list)
        hessian = torch.maximum(hessian, least_curvature(self.loss, gradient))
        if not bool(gradient.any()):
            warnings.warn(
                "objective: the gradient is 0 for all rows, so that no tree learns anything; the "
                "loss has none where no list has two different labels, and that of ndcg@k none "
                "where all scores are equal and lists are longer than 2 k: leave k out, or begin "
                "with other scores",
                UserWarning,
                stacklevel=3,
            )
        return gradient, hessian.clamp(min=_FLOOR)

    def __repr__(self) -> str:
        """The loss and its options."""
        return f"Objective({self.loss!r}, scale={self.scale})"


def read(
    y_true: Any, y_pred: Any, sample_weight: Any, group: Any
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    """The scores, labels, weights and where lists begin, of arrays; raises for what is unsound."""
    scores = _tensor("y_pred", y_pred)
    if not scores.is_floating_point():
        raise TypeError(
            f"objective: y_pred must be floating, got {name_of(scores.dtype)}; convert it with "
            "y_pred.astype(float)"
        )
    labels, n = _tensor("y_true", y_true), len(scores)
    if len(labels) != n:
        raise ValueError(
            f"objective: y_true has {len(labels)} labels for {n} scores in y_pred; give one label "
            "a score"
        )
    offsets = _offsets(group, n)
    return scores, labels, _weights(sample_weight, scores, len(offsets) - 1), offsets


def _offsets(group: Any, n: int) -> Tensor:
    if group is None or len(group) == 0:
        return torch.tensor([0, n], device="cpu")
    sizes = _tensor("group", group)
    if sizes.dtype not in INTEGERS:
        raise TypeError(
            f"objective: group must be integers, got {name_of(sizes.dtype)}; it has the number of "
            "rows of each list"
        )
    sizes = sizes.to(torch.int64)
    total, least = int(sizes.sum()), int(sizes.min())
    if total != n or least < 0:
        wrong = f", {least} among them" if least < 0 else ""
        raise ValueError(
            f"objective: group must be the sizes of the lists, which add up to the {n} rows, got "
            f"{len(sizes)} that add up to {total}{wrong}; count the rows of each list, which lie "
            "one behind the other"
        )
    return torch.nn.functional.pad(sizes.cumsum(0), (1, 0))


def _weights(sample_weight: Any, scores: Tensor, lists: int) -> Tensor | None:
    if sample_weight is None or len(sample_weight) == 0:
        return None
    weights = _tensor("sample_weight", sample_weight)
    if len(weights) not in (len(scores), lists):
        raise ValueError(
            f"objective: sample_weight must have one weight for each of {len(scores)} rows or of "
            f"{lists} lists, got {len(weights)}; leave it out to weigh all alike"
        )
    if bool((weights < 0).any()):
        least = weights.min().item()
        raise ValueError(
            f"objective: sample_weight must be 0 or more, got {least:g}; leave such rows out"
        )
    return weights.to(scores.dtype)


def _tensor(name: str, array: Any) -> Tensor:
    if not hasattr(array, "__array__") or isinstance(array, Tensor):
        raise TypeError(
            f"objective: {name} must be an array of numpy, got {type(array).__name__}; convert it "
            f"with numpy.asarray({name})"
        )
    # A copy, of memory that may not be written to, or that the library uses again.
    tensor = torch.tensor(array.__array__(), device="cpu")
    if tensor.dim() != 1:
        raise ValueError(
            f"objective: {name} must be [n], one number a row, got shape {list(tensor.shape)}"
        )
    if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
        advice = "lower the learning rate" if name == "y_pred" else "leave such rows out"
        raise ValueError(f"objective: {name} must be finite, but has NaN or infinities; {advice}")
    return tensor
