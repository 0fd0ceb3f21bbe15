"""What passes between the processes of a group, and how they find that they agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

MESSAGE_BYTES = 1536
MOST_BYTES_OF_A_VALUE = 100  # of a dozen, with their names


def check_group(function: str, group: dist.ProcessGroup | None) -> None:
    """Raises if there is no such group of processes, or this one is not in it."""
    if not dist.is_available() or not dist.is_initialized():
        raise RuntimeError(
            f"{function}: torch.distributed has no process group; call "
            "torch.distributed.init_process_group first, or use the function of the same name in "
            "rank_relax, for lists that one process holds"
        )
    if dist.get_rank(group) < 0:
        raise ValueError(
            f"{function}: group must hold this process, rank {dist.get_rank()}; give the group to "
            "its members alone"
        )


def exchange(
    function: str,
    group: dist.ProcessGroup | None,
    device: torch.device | None,
    agreed: Mapping[str, str],
    length: int,
    error: Exception | None,
) -> list[int]:
    """Every process's length, after a check that they agree on everything else.

    `device` is where this process's tensors are, if it has any.

    Raises:
        ValueError: on every process, if a value of `agreed` differs between them, or one of them
            raises `error`.
    """
    message: dict[str, Any] = {"length": length, "error": None, "agreed": {}}
    if error is None:
        message["agreed"] = {name: _shortened(value) for name, value in agreed.items()}
    else:
        message["error"] = _beginning(f"{type(error).__name__}: {error}", MESSAGE_BYTES - 100)
    parts = gather(_encoded(message).to(_meeting_device(group, device)), group)
    if error is not None:
        raise error
    messages = [_decoded(part) for part in parts]
    for rank, other in enumerate(messages):
        if other["error"] is not None:
            raise ValueError(f"{function}: rank {rank} of the group raised {other['error']}")
    for name in agreed:
        values = [other["agreed"].get(name) for other in messages]
        if len(set(values)) > 1:
            raise ValueError(
                f"{function}: {name} must be the same on every process of the group, got "
                f"{_by_value(values)}"
            )
    return [int(other["length"]) for other in messages]


def _meeting_device(group: dist.ProcessGroup | None, device: torch.device | None) -> torch.device:
    """Where every process of the group can send from, wherever its tensors are.

    Processes whose tensors are on devices of two types would wait for each other. The choice is
    that of the collectives of objects in torch.distributed.
    """
    # For example "cpu:gloo,cuda:nccl".
    types = [pair.split(":")[0] for pair in dist.get_backend_config(group).split(",")]
    chosen = "cpu" if "cpu" in types else types[0]
    if device is not None and device.type == chosen:
        return device  # of several accelerators the one in use, which need not be the current one
    return torch.device(chosen)


def _encoded(message: Mapping[str, Any]) -> Tensor:
    text = _json(message).ljust(MESSAGE_BYTES)
    assert len(text) == MESSAGE_BYTES, "a message of a fixed size"
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def _json(value: object) -> bytes:
    # A lone surrogate becomes JSON's escape for it.
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")


def _beginning(text: str, most: int) -> str:
    """The longest beginning of a text that is no more than `most` bytes of JSON."""
    text = text[:most]
    while len(_json(text)) > most:
        text = text[:-1]
    return text


def _shortened(value: str) -> str:
    """A long value by its beginning and a hash of all of it."""
    if len(_json(value)) <= MOST_BYTES_OF_A_VALUE:
        return value
    digest = hashlib.sha256(_json(value)).hexdigest()[:12]
    end = f"... (SHA-256 {digest})"
    return _beginning(value, MOST_BYTES_OF_A_VALUE - len(end)) + end


def _decoded(part: Tensor) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(bytes(part.tolist()))
    return message


def _by_value(values: Sequence[str | None]) -> str:
    """For example: 1.0 on rank 0; 2.0 on ranks 1, 2."""
    parts = []
    for value in dict.fromkeys(values):
        ranks = [str(rank) for rank, other in enumerate(values) if other == value]
        parts.append(f"{value} on rank{'s' if len(ranks) > 1 else ''} {', '.join(ranks)}")
    return "; ".join(parts)


def gather(tensor: Tensor, group: dist.ProcessGroup | None) -> list[Tensor]:
    """Every process's tensor; all have one shape."""
    tensor = tensor.contiguous()
    parts = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, tensor, group=group)
    return parts


def gather_parts(
    tensor: Tensor, lengths: Sequence[int], group: dist.ProcessGroup | None
) -> list[Tensor]:
    """Every process's tensor, whose last dimension has as many items as `lengths` says."""
    padded = tensor.new_zeros((*tensor.shape[:-1], max(lengths)))
    padded[..., : tensor.shape[-1]] = tensor
    return [part[..., :length] for part, length in zip(gather(padded, group), lengths, strict=True)]


def gather_bits(tensor: Tensor, lengths: Sequence[int], group: dist.ProcessGroup | None) -> Tensor:
    """The parts of all processes put together, of any dtype: backends know but a few."""
    bits = tensor.detach().contiguous().view(torch.uint8)
    parts = gather_parts(bits, [length * tensor.itemsize for length in lengths], group)
    return torch.cat(parts, -1).view(tensor.dtype)


def extreme_and_sum(
    largest: Tensor, sums: Tensor, group: dist.ProcessGroup | None
) -> tuple[Tensor, Tensor]:
    """The maximum of the one and the sum of the other over all processes, in one wait."""
    largest, sums = largest.contiguous(), sums.contiguous()
    works = [
        dist.all_reduce(largest, dist.ReduceOp.MAX, group=group, async_op=True),
        dist.all_reduce(sums, dist.ReduceOp.SUM, group=group, async_op=True),
    ]
    for work in works:
        if work is not None:
            work.wait()
    return largest, sums


def total(tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """The sum over all processes, which may take the tensor's place."""
    tensor = tensor.contiguous()
    dist.all_reduce(tensor, dist.ReduceOp.SUM, group=group)
    return tensor


class SumOverGroup(torch.autograd.Function):
    """The sum over all processes, with the derivatives of the sum of all processes' losses."""

    @staticmethod
    def forward(tensor: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        return total(tensor.detach().clone(), group)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.group = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        return SumOverGroup.apply(grad_outputs[0], ctx.group), None  # type: ignore[no-untyped-call]


class WholeList(torch.autograd.Function):
    """The parts of all processes put together, with the derivatives of the sum of their losses."""

    @staticmethod
    def forward(part: Tensor, lengths: Sequence[int], group: dist.ProcessGroup | None) -> Tensor:
        return torch.cat(gather_parts(part.detach(), lengths, group), -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, lengths, ctx.group = inputs
        rank = dist.get_rank(ctx.group)
        ctx.begin, ctx.length = sum(lengths[:rank]), lengths[rank]

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        whole = SumOverGroup.apply(grad_outputs[0], ctx.group)  # type: ignore[no-untyped-call]
        return whole.narrow(-1, ctx.begin, ctx.length), None, None
