"""Derivatives of soft ranks, and the ranks themselves, of lists that are split over processes.

Every derivative is one operator D(v_1..v_k; x), as in csrc/torch/autograd/soft_rank.cpp: order 0 is
the centred rank, and <w, D(v_1..v_k; x)> is symmetric in w and the v_l together. Here the sum in it
runs over all processes, and so does the scalar product. So the derivatives of the sum of all
processes' losses are D again, with each process's own cotangent as one more direction.

Moments add: between the stages of csrc/cpu/split_rank.h they are summed over the processes, as many
bytes as the lists' extent asks for. Lists that are so wide that this would be more than all of
their items, and orders without a series, are gathered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rank_relax._group import extreme_and_sum, gather_parts, total

# Numbers in a list's moments, for each set of weights, up to which it is not gathered: always up to
# the first; else up to the number of its items, and 64 MB.
FEWEST_NUMBERS = 64
MOST_NUMBERS = 1 << 23
MOST_SERIES = 2  # directions of a derivative whose kernel has a series

LINEAR_SPREAD = 2.0**-30  # core/correlation.h
LARGEST_STRENGTH = 1e307


@dataclass(frozen=True)
class WholeLists:
    """What every process knows of lists of which it holds a part. Tensors are on the CPU."""

    group: dist.ProcessGroup | None
    method: str
    mask: Tensor | None  # of the part
    lengths: list[int]  # items of each process's part
    extents: Tensor  # [*, 2]: minimum and maximum of the finite items
    counts: Tensor  # [*, 4]: finite items, -inf, +inf, NaN
    strengths: Tensor  # [*]

    @property
    def counted(self) -> Tensor:
        """The n of every formula, ``[*]``."""
        return self.counts[..., :3].sum(-1)


def whole_lists(
    inputs: list[Tensor],
    strength: float,
    *,
    method: str,
    mask: Tensor | None,
    lengths: list[int],
    group: dist.ProcessGroup | None,
) -> list[WholeLists]:
    """One for each input, of one shape: the first reductions, shared by all of them."""
    # A copy: the backward needs it as it is now, and the caller's may change until then.
    host_mask = None if mask is None else mask.to("cpu", copy=True)
    summary = torch.ops.rank_relax._split_rank_summary.default
    parts = [summary([], input.detach().cpu(), host_mask) for input in inputs]
    device = inputs[0].device
    largest, counts = extreme_and_sum(
        torch.stack([part[0] for part in parts]).to(device),
        torch.stack([part[1] for part in parts]).to(device),
        group,
    )
    extents = (largest * largest.new_tensor([-1.0, 1.0])).cpu()
    strengths = torch.full(extents.shape[:-1], strength, dtype=torch.float64)
    return [
        WholeLists(group, method, host_mask, lengths, *of_input)
        for of_input in zip(extents, counts.cpu(), strengths, strict=True)
    ]


def for_correlation(lists: WholeLists) -> WholeLists:
    """At strengths of the same correlation and gradient at which nothing is lost.

    A narrow list's ranks are linear in its values (core/correlation.h): unless it has infinities.
    """
    spread = lists.extents[..., 1] - lists.extents[..., 0]
    wanted = (LINEAR_SPREAD / spread).clamp(max=LARGEST_STRENGTH)
    narrow = (spread > 0) & (lists.counts[..., 1:3].sum(-1) == 0)
    raised = torch.where(narrow, torch.maximum(lists.strengths, wanted), lists.strengths)
    return WholeLists(
        lists.group, lists.method, lists.mask, lists.lengths, lists.extents, lists.counts, raised
    )


class SplitRankDerivative(torch.autograd.Function):
    """D of whole lists at the items of this process's part, in float64."""

    @staticmethod
    def forward(lists: WholeLists, input: Tensor, *directions: Tensor) -> Tensor:
        host = [direction.detach().double().cpu() for direction in directions]
        return _derivative(lists, input.detach().cpu(), host, input.device).to(input.device)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.lists, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        input, *directions = ctx.saved_tensors
        cotangent = grad_outputs[0]
        gradients: list[Tensor | None] = [None] * (2 + len(directions))
        if ctx.needs_input_grad[1]:
            along = derivative(ctx.lists, input, *directions, cotangent)
            gradients[1] = along.to(input.dtype)
        for place in range(len(directions)):
            if ctx.needs_input_grad[2 + place]:
                others = [*directions[:place], cotangent, *directions[place + 1 :]]
                gradients[2 + place] = derivative(ctx.lists, input, *others)
        return tuple(gradients)


def derivative(lists: WholeLists, input: Tensor, *directions: Tensor) -> Tensor:
    """``D(*directions; input)``, differentiable with respect to all of them."""
    result: Tensor = SplitRankDerivative.apply(lists, input, *directions)  # type: ignore[no-untyped-call]
    return result


def _derivative(
    lists: WholeLists, input: Tensor, directions: list[Tensor], device: torch.device
) -> Tensor:
    """On the CPU, but for what goes between processes, which does so from `device`."""
    order = len(directions)
    if order > MOST_SERIES:
        everything = torch.ones(lists.strengths.shape, dtype=torch.bool)
        return _gathered_derivative(lists, input, directions, everything, device)
    operators = torch.ops.rank_relax
    sizes = operators._split_rank_sizes.default(
        lists.extents, lists.strengths, order, input.dtype, lists.method
    )
    most = min(max(FEWEST_NUMBERS, sum(lists.lengths)), MOST_NUMBERS) << order
    wide = sizes > most
    # A list that is gathered is an empty one to the stages, and its result is overwritten.
    nothing = torch.tensor([torch.inf, -torch.inf], dtype=torch.float64)
    extents = torch.where(wide[..., None], nothing, lists.extents)
    size = int(torch.where(wide, 0, sizes).max()) if sizes.numel() else 0
    centers = lists.extents.new_zeros((*lists.strengths.shape, order))
    if order > 0 and sizes.numel() > 0:
        _, sums = operators._split_rank_summary.default(directions, input, lists.mask)
        sums = total(sums[..., -order:].to(device), lists.group).cpu()
        centers = sums / lists.counts[..., :1].clamp(min=1)
    moments = operators._split_rank_moments.default(
        directions, input, extents, lists.strengths, centers, size, lists.method, lists.mask
    )
    if size > 0:
        moments = total(moments.to(device), lists.group).cpu()
    result: Tensor = operators._split_rank_derivative.default(
        directions,
        input,
        extents,
        lists.strengths,
        centers,
        lists.counts[..., :3],
        moments,
        lists.method,
        lists.mask,
    )
    if bool(wide.any()):
        result[wide] = _gathered_derivative(lists, input, directions, wide, device)[wide]
    return result


def _gathered_derivative(
    lists: WholeLists,
    input: Tensor,
    directions: list[Tensor],
    chosen: Tensor,
    device: torch.device,
) -> Tensor:
    """Of the chosen lists alone, each of them gathered by every process."""
    result = torch.zeros(input.shape, dtype=torch.float64)
    if not bool(chosen.any()):
        return result

    def whole(part: Tensor) -> Tensor:
        parts = gather_parts(part[chosen].to(device), lists.lengths, lists.group)
        return torch.cat(parts, -1).cpu()

    values = whole(input).double()
    whole_directions = [whole(direction) for direction in directions]
    mask = None if lists.mask is None else whole(lists.mask.byte()).bool()
    strengths = lists.strengths[chosen]
    ranked = torch.zeros_like(values)
    for strength in sorted(set(strengths.tolist())):
        same = strengths == strength
        ranked[same] = torch.ops.rank_relax._soft_rank_derivative.default(
            [direction[same] for direction in whole_directions],
            values[same],
            strength,
            lists.method,
            None if mask is None else mask[same],
        )
    rank = dist.get_rank(lists.group)
    first = sum(lists.lengths[:rank])
    result[chosen] = ranked[..., first : first + lists.lengths[rank]]
    return result
