r"""One list over many processes: ranks, counts and Spearman's loss of lists split over a group.

Every process of a ``torch.distributed`` group holds a part of the last dimension, of any length,
zero included, and ranks are those of the whole list. What passes between the processes is a few
kilobytes, whatever the number of items: moments of the items, which add (docs/distributed.md says
how many). A list so wide that its moments would outnumber its items is gathered; so are the
values of :func:`soft_count`, always.

**Gradients** are those of the sum of all processes' losses. :func:`spearman_loss` returns the same
number on every process, so each gets ``world_size`` times the gradient of the global loss with
respect to its own items, which is what ``DistributedDataParallel`` needs, because it averages over
processes: a model that is wrapped in it trains as one process with all of the data would. Without
it, add parameter gradients up over the processes and divide by ``world_size``.

Every process of the group must call, and run the backward; arguments that differ between them raise
on all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import rank_relax.counts
import rank_relax.ranks
import rank_relax.spearman
from rank_relax._calls import public
from rank_relax._checks import (
    SMOOTH_CDFS,
    SPLIT_CDFS,
    Reduction,
    SmoothCdf,
    SplitCdf,
    check_choice,
    check_reduction,
    warn_of_single_items,
)
from rank_relax._group import (
    SumOverGroup,
    WholeList,
    check_group,
    exchange,
    gather_bits,
    total,
)
from rank_relax._integers import split_integers
from rank_relax._scores import Scale, result_dtype
from rank_relax._split_rank import (
    WholeLists,
    derivative,
    for_correlation,
    whole_lists,
)
from rank_relax._strength import (
    Strength,
    checked_strength,
    describe_strength,
    set_strength,
    strength_given,
)
from rank_relax.spearman import TARGET_RANKS, TargetRanks

__all__ = ["SpearmanLoss", "soft_count", "soft_rank", "spearman_loss"]


@public
def soft_rank(
    input: Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: SplitCdf = "sigmoid",
    descending: bool = False,
    normalize: bool = True,
    mask: Tensor | None = None,
    scale: Scale = None,
    group: dist.ProcessGroup | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""Soft rank of every item of this process among the items of all processes.

    :func:`rank_relax.soft_rank` of the parts of all processes put together along the last
    dimension, at the items of this one.

    Args:
        input: This process's part of the scores, ``[..., k]``: k may differ between processes, and
            be 0; the batch shape and the dtype may not. Float64, float32, bfloat16 or float16.
        regularization_strength: Sharpness α > 0, as in :func:`rank_relax.soft_rank`; a 0-dim tensor
            is learnable, and must have the same value on every process.
        method: ``"sigmoid"`` or ``"gaussian"``. Projections, ``"laplace"`` and ``"cauchy"`` need
            the whole list in one process.
        descending: Rank -x instead: the largest item gets 0.
        normalize: If false, ranks are soft counts of smaller items, from 0 to n - 1.
        mask: Bool, of the shape of ``input``, true where an item counts; on every process or on
            none.
        scale: ``"std"`` divides the scores by the standard deviation of the whole list, as in
            :func:`rank_relax.soft_rank`.
        group: The processes that hold the lists; by default all.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Ranks of the shape and dtype of ``input`` (float32 under autocast for the half precisions).
        Ties, constant lists, infinities and NaN as in :func:`rank_relax.soft_rank`, of the whole
        list. In backward a process's cotangent meets its own ranks: gradients are those of the sum
        of what all processes make of them, second derivatives included. Derivatives of order three
        and more are right too, but gather the list.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here; a ``ValueError`` on
            the other processes.
        ValueError: for a value that is not listed here; on every process, if ``method``,
            ``regularization_strength``, the dtype, the batch shape or another option differs, or
            only some inputs require a gradient.
        RuntimeError: if there is no process group; from ``torch.distributed`` if a process fails
            or does not answer within the group's timeout.

    References:
        As :func:`rank_relax.soft_rank`.

    Example:
        >>> import os, tempfile, torch, torch.distributed as dist
        >>> from rank_relax import distributed
        >>> store = dist.FileStore(os.path.join(tempfile.mkdtemp(), "store"), 1)
        >>> dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        >>> distributed.soft_rank(torch.tensor([0.3, 2.0, -1.0]))
        tensor([0.4702, 0.8991, 0.1308])
        >>> dist.destroy_process_group()
    """
    check_group("soft_rank", group)
    lengths = _agree(
        "soft_rank",
        lambda value: rank_relax.ranks.soft_rank(
            _on_meta(input),
            value,
            method=method,
            descending=descending,
            normalize=normalize,
            mask=_on_meta(mask),
            scale=scale,
        ),
        {"input": input},
        regularization_strength,
        temperature,
        method,
        mask,
        {"descending": descending, "normalize": normalize, "scale": scale},
        group,
    )
    strength = strength_given("soft_rank", regularization_strength, temperature)
    warn_of_single_items("soft_rank", "input", input, length=sum(lengths))
    signed = -input if descending else input
    (values,), (lists,) = _lists([signed], strength, scale, method, mask, lengths, group)
    centered = derivative(lists, values)
    others = (lists.counted - 1)[..., None].to(input.device)
    ranks = centered + torch.where(others > 0, 0.5, 0.0)
    if lists.mask is not None:
        ranks = torch.where(lists.mask.to(input.device), ranks, 0)
    if not normalize:
        ranks = ranks * others.clamp(min=0)
    return ranks.to(result_dtype(input.dtype, input.device))


@public
def soft_count(
    points: Tensor,
    values: Tensor,
    weights: Tensor | None = None,
    regularization_strength: Strength = 1.0,
    *,
    method: SmoothCdf = "sigmoid",
    mask: Tensor | None = None,
    order: int = 0,
    keys: Tensor | None = None,
    point_keys: Tensor | None = None,
    group: dist.ProcessGroup | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""Soft counts of the values of all processes, at the points of this one.

    :func:`rank_relax.soft_count` of the parts of all processes' values put together along the last
    dimension. Every process holds all values and weights for the length of a call: for n of them in
    float32 8 n bytes, of which it is sent all but its own.

    Args:
        points: Where to count: ``[..., m]``; each process has its own, of any number.
        values: This process's part of what is counted: ``[..., k]``, of any length, 0 included.
        weights: What each value counts: ``[..., k]``, or ``[..., K, k]``; on every process or on
            none.
        regularization_strength: Sharpness α > 0, as in :func:`rank_relax.soft_count`; a 0-dim
            tensor is learnable, and must have the same value on every process.
        method: As in :func:`rank_relax.soft_count`.
        mask: Bool, of the shape of ``values``, true where a value counts; on every process or on
            none.
        order: As in :func:`rank_relax.soft_count`.
        keys: Numbers by which values are ordered, ``[..., k]``: each point counts values of smaller
            keys alone; on every process or on none, and ``point_keys`` with them.
        point_keys: The same of the points, ``[..., m]``.
        group: The processes that hold the values; by default all.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Counts ``[..., m]``, or ``[..., K, m]``. Gradients are those of the sum of what all
        processes make of theirs, second and higher derivatives included.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here; a ``ValueError`` on
            the other processes.
        ValueError: for a value that is not listed here; on every process, if an option, a dtype or
            the batch shape differs, or only some inputs require a gradient.
        RuntimeError: if there is no process group; from ``torch.distributed`` if a process fails
            or does not answer within the group's timeout.

    References:
        As :func:`rank_relax.soft_count`.

    Example:
        >>> import os, tempfile, torch, torch.distributed as dist
        >>> from rank_relax import distributed
        >>> store = dist.FileStore(os.path.join(tempfile.mkdtemp(), "store"), 1)
        >>> dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        >>> distributed.soft_count(torch.tensor([0.0, 2.0, 9.0]), torch.tensor([1.0, 2.0, 4.0]))
        tensor([0.4061, 1.3503, 2.9921])
        >>> dist.destroy_process_group()
    """
    check_group("soft_count", group)

    def check(value: Any) -> None:
        if (keys is None) != (point_keys is None):
            raise ValueError("soft_count: keys and point_keys must be given both or neither")
        rank_relax.counts.soft_count(
            _on_meta(points),
            _on_meta(values),
            _on_meta(weights),
            value,
            method=method,
            mask=_on_meta(mask),
            order=order,
            keys=_on_meta(keys),
            point_keys=_on_meta(point_keys),
        )

    def options() -> dict[str, object]:
        return {
            "weights": "none" if weights is None else list(weights.shape[:-1]),
            "keys": "none" if keys is None else keys.dtype,
            "order": order,
        }

    tensors = {"values": values, "points": points}
    if weights is not None:
        tensors["weights"] = weights
    lengths = _agree(
        "soft_count",
        check,
        tensors,
        regularization_strength,
        temperature,
        method,
        mask,
        options,
        group,
        methods=SMOOTH_CDFS,
        beside={"mask": mask, "keys": keys, "point_keys": point_keys},
    )
    strength = strength_given("soft_count", regularization_strength, temperature)

    def whole(part: Tensor) -> Tensor:
        return WholeList.apply(part, lengths, group)  # type: ignore[no-any-return, no-untyped-call]

    return rank_relax.counts.soft_count(
        points,
        whole(values),
        None if weights is None else whole(weights),
        strength,
        method=method,
        mask=None if mask is None else gather_bits(mask, lengths, group),
        order=order,
        keys=None if keys is None else gather_bits(keys, lengths, group),
        point_keys=point_keys,
    )


@public
def spearman_loss(
    predictions: Tensor,
    targets: Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: SplitCdf = "sigmoid",
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
    scale: Scale = None,
    target_ranks: TargetRanks = TARGET_RANKS,
    group: dist.ProcessGroup | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""One minus Spearman's correlation of lists that are split over processes.

    :func:`rank_relax.spearman_loss` of the parts of all processes put together along the last
    dimension: the same number on every process.

    Args:
        predictions: This process's part of the scores, ``[..., k]``: k may differ between
            processes, and be 0; the batch shape and the dtype may not. Float64, float32, bfloat16
            or float16.
        targets: What they should be ordered like, of the same shape. Where they are ranked softly,
            differences of integers and bools are taken first, exactly up to 2^53, and not rounded
            to the predictions' dtype; two floating dtypes are promoted.
        regularization_strength: Sharpness α > 0 of the soft ranks, as in
            :func:`rank_relax.spearman_loss`; a 0-dim tensor is learnable, and must have the same
            value on every process.
        method: ``"sigmoid"`` or ``"gaussian"``. Projections, ``"laplace"`` and ``"cauchy"`` need
            the whole list in one process.
        mask: Bool, of the shape of ``predictions``, true where a pair counts; on every process or
            on none.
        reduction: ``"mean"`` or ``"sum"`` over the lists of the batch, or ``"none"`` for one loss a
            list.
        scale: ``"std"`` divides what is ranked softly by its standard deviation over all processes.
        target_ranks: ``"hard"``, as in :func:`rank_relax.spearman_loss`, or ``"soft"``. For hard
            ranks every process gathers the targets, and they alone, of all processes.
        group: The processes that hold the lists; by default all.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        The loss, as :func:`rank_relax.spearman_loss`. **Its gradient on every process is
        ``world_size`` times that of the global loss**, the gradient of the sum of all processes'
        equal losses, because ``DistributedDataParallel`` averages: a model that is wrapped in it
        trains as one process with all data would. Without ``DistributedDataParallel`` divide by
        ``world_size``, after adding up the gradients of parameters that all processes share. A
        strength that is learnt is such a parameter.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here; a ``ValueError`` on
            the other processes.
        ValueError: for a value that is not listed here, shapes that differ, or targets that require
            a gradient with ``target_ranks="hard"``; on every process, if ``method``,
            ``regularization_strength``, a dtype, the batch shape or another option differs, or
            tensors require a gradient on some processes only.
        RuntimeError: if there is no process group; from ``torch.distributed`` if a process fails
            or does not answer within the group's timeout.

    References:
        As :func:`rank_relax.spearman_loss`.

    Example:
        >>> import os, tempfile, torch, torch.distributed as dist
        >>> from rank_relax import distributed
        >>> store = dist.FileStore(os.path.join(tempfile.mkdtemp(), "store"), 1)
        >>> dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        >>> predictions = torch.tensor([0.1, 0.4, 0.2], requires_grad=True)
        >>> loss = distributed.spearman_loss(predictions, torch.tensor([1, 2, 3]))
        >>> loss.backward()
        >>> loss.detach(), predictions.grad
        (tensor(0.6727), tensor([ 2.3381,  1.1690, -3.5070]))
        >>> dist.destroy_process_group()
    """
    check_group("spearman_loss", group)

    def check(strength: Any) -> None:
        check_reduction("spearman_loss", reduction)
        rank_relax.spearman.spearman_loss(
            _on_meta(predictions),
            _on_meta(targets),
            strength,
            method=method,
            mask=_on_meta(mask),
            reduction="none",
            scale=scale,
            target_ranks=target_ranks,
        )
        if target_ranks == "hard":
            rank_relax.spearman.check_constant(targets)

    lengths = _agree(
        "spearman_loss",
        check,
        {"predictions": predictions, "targets": targets},
        regularization_strength,
        temperature,
        method,
        mask,
        {"reduction": reduction, "scale": scale, "target_ranks": target_ranks},
        group,
    )
    strength = strength_given("spearman_loss", regularization_strength, temperature)
    warn_of_single_items("spearman_loss", "predictions", predictions, length=sum(lengths))
    dtype = result_dtype(predictions.dtype, predictions.device)
    ranked_softly = [predictions]
    if target_ranks == "soft":
        if targets.is_floating_point():
            dtype = torch.promote_types(dtype, result_dtype(targets.dtype, targets.device))
        else:
            targets = split_integers(targets, mask, group)
        ranked_softly.append(targets)
    values, lists = _lists(ranked_softly, strength, scale, method, mask, lengths, group)
    sides = [_soft_side(*side) for side in zip(values, lists, strict=True)]
    if target_ranks == "hard":
        sides.append(_hard_side(targets, mask, lengths, group))
    losses = _loss(sides[0], sides[1], lists[0]).to(dtype)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


class SpearmanLoss(nn.Module):
    """One minus Spearman's correlation of lists that are split over processes, as a module.

    Its gradient is ``world_size`` times that of the global loss, for ``DistributedDataParallel``:
    see :func:`spearman_loss`.

    Args:
        regularization_strength: As in :func:`spearman_loss`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer, to be changed in place by a schedule.
        method: As in :func:`spearman_loss`, like all that follow.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        scale: ``"std"`` to divide what is ranked softly by its standard deviation first.
        target_ranks: ``"hard"`` or ``"soft"``.
        group: The processes that hold the lists; by default all.
        temperature: To be given in place of the strength, and kept in the same way.

    Shapes:
        ``predictions``, ``targets`` and ``mask`` of one shape ``[..., k]``, k of this process;
        returns a scalar, or ``[...]`` for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`spearman_loss` would refuse; when called,
            as it does.
        RuntimeError: when called, as :func:`spearman_loss`.

    References:
        Those of :func:`spearman_loss`.

    Example:
        >>> import os, tempfile, torch, torch.distributed as dist
        >>> from rank_relax import distributed
        >>> store = dist.FileStore(os.path.join(tempfile.mkdtemp(), "store"), 1)
        >>> dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        >>> loss = distributed.SpearmanLoss(10.0)
        >>> scores = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
        >>> loss(scores, scores[0].expand(2, 3))
        tensor(1.)
        >>> dist.destroy_process_group()
    """

    regularization_strength: Strength
    temperature: Strength | None

    def __init__(
        self,
        regularization_strength: Strength = 1.0,
        *,
        method: SplitCdf = "sigmoid",
        reduction: Reduction = "mean",
        scale: Scale = None,
        target_ranks: TargetRanks = TARGET_RANKS,
        group: dist.ProcessGroup | None = None,
        temperature: Strength | None = None,
    ) -> None:
        super().__init__()
        set_strength(self, "SpearmanLoss", regularization_strength, temperature)
        check_choice("SpearmanLoss", "method", method, SPLIT_CDFS)
        rank_relax.spearman.check_options("SpearmanLoss", method, reduction, scale, target_ranks)
        self.method: SplitCdf = method
        self.reduction: Reduction = reduction
        self.scale: Scale = scale
        self.target_ranks: TargetRanks = target_ranks
        self.group = group

    def forward(self, predictions: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns ``spearman_loss(predictions, targets, mask=mask)`` with the module's options."""
        return spearman_loss(
            predictions,
            targets,
            self.regularization_strength,
            method=self.method,
            mask=mask,
            reduction=self.reduction,
            scale=self.scale,
            target_ranks=self.target_ranks,
            group=self.group,
            temperature=self.temperature,
        )

    def extra_repr(self) -> str:
        return (
            f"{describe_strength(self)}, method={self.method!r}, "
            f"reduction={self.reduction!r}, scale={self.scale!r}, "
            f"target_ranks={self.target_ranks!r}"
        )


def _on_meta(argument: Any) -> Any:
    """Shape, dtype and layout alone, for the checks of the function of one process."""
    if not isinstance(argument, Tensor):
        return argument
    return torch.empty(argument.shape, dtype=argument.dtype, layout=argument.layout, device="meta")


def _agree(
    function: str,
    check: Callable[[Any], object],
    tensors: dict[str, Tensor],
    strength: Strength,
    temperature: Strength | None,
    method: str,
    mask: Tensor | None,
    options: dict[str, object] | Callable[[], dict[str, object]],
    group: dist.ProcessGroup | None,
    methods: tuple[str, ...] = SPLIT_CDFS,
    beside: dict[str, Tensor | None] | None = None,
) -> list[int]:
    """The lengths of all processes' parts, if the arguments make sense and agree.

    An error of one process is everybody's, or the others would wait for it.
    """
    agreed = {"the function": function}
    error: Exception | None = None
    first = next(iter(tensors.values()))
    length = 0
    try:
        strength = strength_given(function, strength, temperature)
        value = _value(function, strength)
        check_choice(function, "method", method, methods)
        check(value)
        _check_devices(function, tensors, {"mask": mask} if beside is None else beside)
        if callable(options):  # which need arguments that have been checked
            options = options()
        gradients = [
            name
            for name, tensor in {**tensors, "regularization_strength": strength}.items()
            if isinstance(tensor, Tensor) and tensor.requires_grad
        ]
        agreed |= {
            "method": repr(method),
            # A tensor scales the items, with reductions of its own.
            "regularization_strength": f"{value!r}{' (a tensor)' * isinstance(strength, Tensor)}",
            "the batch shape": str(list(first.shape[:-1])),
            **{f"{name}.dtype": str(tensor.dtype) for name, tensor in tensors.items()},
            **{f"{name}.device": tensor.device.type for name, tensor in tensors.items()},
            "mask": "none" if mask is None else "a tensor",
            **{name: str(option) for name, option in options.items()},
            "what requires a gradient": ", ".join(gradients) * torch.is_grad_enabled() or "nothing",
        }
        length = first.shape[-1]
    except Exception as raised:
        error = raised
    device = first.device if isinstance(first, Tensor) else None
    return exchange(function, group, device, agreed, length, error)


def _value(function: str, strength: Strength) -> Any:
    """The number that all processes must share; what is no strength, for the check to refuse."""
    if isinstance(strength, Tensor) and strength.is_meta:
        raise ValueError(
            f"{function}: regularization_strength is on meta and has no value; give it one with "
            "to_empty or torch.tensor"
        )
    checked = checked_strength(function, strength)
    return float(checked.detach()) if isinstance(checked, Tensor) else checked


def _check_devices(
    function: str, tensors: dict[str, Tensor], beside: dict[str, Tensor | None]
) -> None:
    (first_name, first), *others = tensors.items()
    others += [(name, tensor) for name, tensor in beside.items() if tensor is not None]
    for name, tensor in others:
        if tensor.device != first.device:
            raise ValueError(
                f"{function}: {name} is on {tensor.device} but {first_name} is on {first.device}; "
                "move them to one device"
            )


def _lists(
    inputs: list[Tensor],
    strength: Strength,
    scale: Scale,
    method: str,
    mask: Tensor | None,
    lengths: list[int],
    group: dist.ProcessGroup | None,
) -> tuple[list[Tensor], list[WholeLists]]:
    """The values to rank, and what all processes know of their lists."""
    values = [x if x.dtype == torch.float64 else x.float() for x in inputs]
    number = 1.0 if isinstance(strength, Tensor) else float(strength)

    def known(values: list[Tensor]) -> list[WholeLists]:
        return whole_lists(values, number, method=method, mask=mask, lengths=lengths, group=group)

    lists = known(values)
    if scale is not None or isinstance(strength, Tensor):
        values = _scaled(values, lists, strength, scale, mask)
        lists = known(values)
    return values, lists


def _scaled(
    values: list[Tensor],
    lists: list[WholeLists],
    strength: Strength,
    scale: Scale,
    mask: Tensor | None,
) -> list[Tensor]:
    """α·x around the middle of the whole list, within float64's range.

    A strength's gradient is Σ x ∂L/∂x, in which any common part of x cancels.
    """
    x = torch.stack([value.double() for value in values])
    counts = x.isfinite() if mask is None else x.isfinite() & mask
    extents = torch.stack([of_list.extents for of_list in lists]).to(x.device)
    low, high = extents.nan_to_num(posinf=0, neginf=0).unbind(-1)  # of a list without finite items
    half = (high / 2 - low / 2)[..., None]
    half = torch.where(half > 0, half, 1)
    centered = (torch.where(counts, x, 0) - (low / 2 + high / 2)[..., None]) / half
    if scale == "std":
        number = torch.stack([of_list.counts[..., :1] for of_list in lists]).clamp(min=1)
        centered = _standardized(centered, counts, number.to(x.device), lists[0].group)
        half = torch.ones_like(half)
    if isinstance(strength, Tensor):
        half = (half * strength.to(half)).clamp(1e-290, 1e290)
    else:
        half = torch.ones_like(half)
    return list(torch.where(counts, centered * half, x).unbind())


def _standardized(
    centered: Tensor, counts: Tensor, number: Tensor, group: dist.ProcessGroup | None
) -> Tensor:
    """Divided by the standard deviation of the whole list; in two passes, so that nothing cancels.

    Sums are those of all processes' items, and so are the derivatives.
    """

    def mean(x: Tensor) -> Tensor:
        sums = torch.where(counts, x, 0).sum(-1, keepdim=True)
        whole: Tensor = SumOverGroup.apply(sums, group)  # type: ignore[no-untyped-call]
        return whole / number

    deviation = centered - mean(centered)
    variance = mean(deviation * deviation)
    return deviation / variance.masked_fill(variance == 0, 1).sqrt()


class Products(torch.autograd.Function):
    """<p, p>, <t, t> and <p, t> of vectors along the last dimension, with two passes a gradient."""

    @staticmethod
    def forward(p: Tensor, t: Tensor) -> Tensor:
        dot = torch.linalg.vecdot
        return torch.stack([dot(p, p), dot(t, t), dot(p, t)])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        p, t = ctx.saved_tensors
        of_pp, of_tt, of_pt = grad_outputs[0][..., None].unbind()
        return (
            torch.addcmul(of_pt * t, p, 2 * of_pp) if ctx.needs_input_grad[0] else None,
            torch.addcmul(of_pt * p, t, 2 * of_tt) if ctx.needs_input_grad[1] else None,
        )


class OneMinusCorrelation(torch.autograd.Function):
    """1 - ρ, ρ = <p, t> / (|p| |t|), from the products of p and t and what p leaves of t.

    With d = t - p <p, t>/<p, p>, which is perpendicular to p, |d|² = <t, t> (1 - ρ²): as ρ → 1
    nothing cancels in that, and its derivatives are those of ρ.
    """

    @staticmethod
    def forward(pp: Tensor, tt: Tensor, pt: Tensor, square_d: Tensor) -> Tensor:
        rho = pt / (pp * tt).sqrt()
        return torch.where(rho > 0.5, square_d / (tt * (1 + rho)), 1 - rho).clamp(0, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:3])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        pp, tt, pt = ctx.saved_tensors
        of_pt = -grad_outputs[0] / (pp * tt).sqrt()
        return -of_pt * (pt / pp) / 2, -of_pt * (pt / tt) / 2, of_pt, None


@dataclass(frozen=True)
class _Side:
    """One side of the loss."""

    values: Tensor
    ranks: Tensor  # of this process's items among those of all processes, less ½ if soft
    nan_items: Tensor  # of each list, over all processes, on the CPU


def _soft_side(values: Tensor, lists: WholeLists) -> _Side:
    known = for_correlation(lists)
    return _Side(values, derivative(known, values), known.counts[..., 3])


def _hard_side(
    targets: Tensor, mask: Tensor | None, lengths: list[int], group: dist.ProcessGroup | None
) -> _Side:
    """By the targets of all processes: a hard rank is a count, for which no moments stand."""
    whole = gather_bits(targets, lengths, group)
    whole_mask = None if mask is None else gather_bits(mask, lengths, group)
    ranks = torch.ops.rank_relax._centered_hard_rank.default(whole, whole_mask, torch.float64)
    first = sum(lengths[: dist.get_rank(group)])
    return _Side(
        targets.detach(),
        ranks[..., first : first + targets.shape[-1]],
        ranks.isnan().sum(-1).double().cpu(),
    )


def _square_of_difference(t: Tensor, p: Tensor, share: Tensor) -> Tensor:
    """|t - share p|² of each list, by parts whose difference the processor's cache holds."""
    square = torch.zeros_like(share)
    for t_part, p_part in zip(
        torch.split(t, 1 << 15, -1), torch.split(p, 1 << 15, -1), strict=True
    ):
        d = torch.addcmul(t_part, p_part, -share[..., None])
        square += torch.linalg.vecdot(d, d)
    return square


def _loss(predictions: _Side, targets: _Side, lists: WholeLists) -> Tensor:
    """1 - ρ of each list, from sums over all processes. `lists` is of the predictions."""
    device = predictions.values.device
    p, t = predictions.ranks, targets.ranks
    nan_items = predictions.nan_items + targets.nan_items
    if bool((nan_items > 0).any()):  # which makes NaN of the gradient of every item that counts
        undefined = (nan_items > 0).to(device)[..., None]
        if lists.mask is not None:
            undefined = undefined & lists.mask.to(device)
        p = p + torch.where(undefined, predictions.values.double() * 0, 0)
        if targets.values.is_floating_point():
            t = t + torch.where(undefined, targets.values.double() * 0, 0)
    products = Products.apply(p, t)  # type: ignore[no-untyped-call]
    pp, tt, pt = SumOverGroup.apply(products, lists.group)  # type: ignore[no-untyped-call]
    constant = ((pp == 0) | (tt == 0)) & (nan_items == 0).to(device)
    pp, tt = torch.where(constant, 1, pp), torch.where(constant, 1, tt)
    square_d = total(_square_of_difference(t.detach(), p.detach(), (pt / pp).detach()), lists.group)
    loss = OneMinusCorrelation.apply(pp, tt, pt, square_d)  # type: ignore[no-untyped-call]
    loss = torch.where(constant, 1, loss)
    has_pairs = (lists.counts.sum(-1) > 1) | (nan_items > 0)
    return torch.where(has_pairs.to(device), loss, 0)
