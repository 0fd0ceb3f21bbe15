"""A program: every function on a device that has no float64. What goes wrong is printed.

torch's lazy backend stands for it: named in RANK_RELAX_DEVICES_WITHOUT_FLOAT64, and with kernels
that refuse a float64 tensor on it, whoever makes it.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch._lazy.ts_backend
from torch import Tensor

import rank_relax as rr

torch._lazy.ts_backend.init()
DEVICE = "lazy"
ARGUMENTS = {"lazily": torch.library.Library("aten", "IMPL")}  # kept alive


def refuse_float64(name: str) -> None:
    packet = name.partition(".")[0]
    original = torch.library.get_kernel(f"aten::{name}", "Lazy")
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.Lazy)

    def kernel(*arguments: Any, **named: Any) -> Any:
        to_the_host = "device" in named and torch.device(named["device"] or "cpu").type == "cpu"
        if named.get("dtype") == torch.float64 and not to_the_host:
            raise TypeError(f"{packet} makes a float64 tensor on the device")
        return original.call_boxed(keys, *arguments, **named)

    ARGUMENTS["lazily"].impl(name, kernel, "Lazy", allow_override=True)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that a kernel has been replaced, as is meant
    for operator in ("_to_copy", "empty.memory_format", "empty_strided", "sum.dim_IntList"):
        refuse_float64(operator)

X = torch.tensor([[0.3, 2.0, -1.0, 0.7, 0.9], [1.5, 1.5, 0.2, -0.4, 3.0]])
T = torch.tensor([[3.0, 1.0, 2.0, 4.0, 0.0], [1.0, 2.0, 4.0, 3.0, 7.0]])
MASK = torch.tensor([[True, True, False, True, True], [True] * 5])
ALPHA = torch.tensor(2.0)
SMOOTH = ("sigmoid", "gaussian", "laplace", "cauchy")


def loss(*arguments: Any, target_ranks: str = "soft", **named: Any) -> Tensor:
    return rr.spearman_loss(*arguments, reduction="none", target_ranks=target_ranks, **named)


# Of scores, targets, a mask and a strength that is a tensor.
CALLS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {}
for m in (*SMOOTH, "l2", "kl"):
    options = {"method": m}
    CALLS |= {
        f"soft_rank {m}": lambda x, t, k, a, o=options: rr.soft_rank(x, 1.3, mask=k, **o),
        f"soft_rank {m} by a tensor": lambda x, t, k, a, o=options: rr.soft_rank(
            x, a, normalize=False, **o
        ),
        f"soft_rank {m} scaled": lambda x, t, k, a, o=options: rr.soft_rank(
            x, a, scale="std", mask=k, descending=True, **o
        ),
        f"spearman_loss {m}": lambda x, t, k, a, o=options: loss(x, t, 1.3, mask=k, **o),
        f"spearman_loss {m} by a tensor": lambda x, t, k, a, o=options: loss(x, t, a, **o),
        f"spearman_loss {m} scaled": lambda x, t, k, a, o=options: loss(
            x, t, 1.3, scale="std", mask=k, **o
        ),
        f"soft_sort {m}": lambda x, t, k, a, o=options: rr.soft_sort(x, 1.3, mask=k, **o),
        f"soft_sort {m} scaled": lambda x, t, k, a, o=options: rr.soft_sort(
            x, 1.3, scale="std", mask=k, descending=True, **o
        ),
    }
for m in SMOOTH:
    options = {"method": m}
    CALLS |= {
        f"soft_sort {m} by a tensor": lambda x, t, k, a, o=options: rr.soft_sort(x, a, **o),
        f"soft_quantile {m}": lambda x, t, k, a, o=options: rr.soft_quantile(
            x, 0.3, 1.3, mask=k, **o
        ),
        f"soft_quantile {m} by a tensor": lambda x, t, k, a, o=options: rr.soft_quantile(
            x, t[0, :2] / 8, a, mask=k, **o
        ),
        f"soft_quantile {m} scaled": lambda x, t, k, a, o=options: rr.soft_quantile(
            x, t[0, :2] / 8, 1.3, scale="std", **o
        ),
        f"soft_topk {m}": lambda x, t, k, a, o=options: rr.soft_topk(x, 2, 1.3, mask=k, **o),
        f"soft_topk {m} by a tensor": lambda x, t, k, a, o=options: rr.soft_topk(x, 2.5, a, **o),
        f"soft_topk {m} scaled": lambda x, t, k, a, o=options: rr.soft_topk(
            x, t[0, 2].long(), 1.3, scale="std", largest=False, mask=k, **o
        ),
    }
# Targets that have no gradient: integers, exactly what float32 holds, and hard ranks of any dtype.
for ranks in ("soft", "hard"):
    for m in ("sigmoid", "l2"):
        options = {"method": m, "target_ranks": ranks}
        CALLS |= {
            f"{ranks} int64 {m}": lambda x, t, k, a, o=options: loss(
                x, t.long() + 2**40, 1.3, mask=k, **o
            ),
            f"{ranks} int64 {m} by a tensor": lambda x, t, k, a, o=options: loss(
                x, t.long(), a, mask=k, **o
            ),
            f"{ranks} int64 {m} scaled": lambda x, t, k, a, o=options: loss(
                x, t.long(), 1.3, scale="std", mask=k, **o
            ),
            f"{ranks} int64 {m} scaled by a tensor": lambda x, t, k, a, o=options: loss(
                x, t.long(), a, scale="std", **o
            ),
        }
    for dtype in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32):
        CALLS[f"{ranks} {dtype}"] = lambda x, t, k, a, r=ranks, d=dtype: loss(
            x, (t > 2 if d == torch.bool else t).to(d), target_ranks=r
        )
CALLS |= {
    "hard floats": lambda x, t, k, a: loss(x, t, 1.3, mask=k, target_ranks="hard"),
    "hard floats by a tensor": lambda x, t, k, a: loss(x, t, a, target_ranks="hard"),
    "hard floats scaled": lambda x, t, k, a: loss(
        x, t, a, scale="std", mask=k, target_ranks="hard"
    ),
    "hard_rank": lambda x, t, k, a: rr.hard_rank(x, mask=k) + 0 * x,
    "hard_rank of integers": lambda x, t, k, a: rr.hard_rank(t.long(), descending=True) + 0 * x,
    "correlation": lambda x, t, k, a: rr.spearman_correlation(x, t, mask=k) + 0 * x.sum(-1),
    "correlation with integers": lambda x, t, k, a: (
        rr.spearman_correlation(x, t.long(), reduction="mean") + 0 * x.sum()
    ),
}
for name in ("l2", "kl"):
    CALLS |= {
        f"torchsort.soft_rank {name}": lambda x, t, k, a, n=name: rr.torchsort.soft_rank(x, n, 0.8),
        f"torchsort.soft_sort {name}": lambda x, t, k, a, n=name: rr.torchsort.soft_sort(x, n, 0.8),
    }


def results(name: str, device: str, dtype: torch.dtype, order: int) -> list[Tensor]:
    """The value, the gradients of a cubic of it, and of the square of those, on the CPU."""
    x, t = (tensor.to(dtype).to(device).requires_grad_() for tensor in (X, T))
    alpha = ALPHA.to(torch.float64 if dtype == torch.float64 else torch.float32).to(device)
    alpha.requires_grad_()
    value = CALLS[name](x, t if "spearman_loss" in name else t.detach(), MASK.to(device), alpha)
    assert value.device.type == torch.device(device).type, "on another device"
    found = [value]
    at_least_float32 = torch.promote_types(dtype, torch.float32)
    total = value.to(at_least_float32).pow(3).sum()
    for left in reversed(range(order)):
        inputs = (x, t, alpha)
        gradients = torch.autograd.grad(
            total, inputs, create_graph=left > 0, allow_unused=True, materialize_grads=True
        )
        found += gradients
        total = sum(g.to(at_least_float32).square().sum() for g in gradients) if left else total
    return [result.detach().cpu() for result in found]


problems = 0
for call_name in CALLS:
    # A few roundings, relative to the largest element or 1: of float32 pairs on the device, and
    # twice as many for second derivatives, which start from a float32 sum of squared gradients.
    for dtype, order, bound in (
        (torch.float32, 2, 2e-6),
        (torch.float16, 1, 2e-3),
        (torch.bfloat16, 1, 2e-2),
    ):
        try:
            here = results(
                call_name, "cpu", torch.float64 if dtype == torch.float32 else dtype, order
            )
            there = results(call_name, DEVICE, dtype, order)
        except Exception as error:
            line = (str(error).strip().splitlines() or [""])[0][:200]
            print(f"{call_name}, {dtype}: {type(error).__name__}: {line}")
            problems += 1
            continue
        for place, (exact, found) in enumerate(zip(here, there, strict=True)):
            exact, found = exact.double(), found.double()
            scale = exact.abs().amax().clamp(min=1) if exact.numel() else 1
            error = (exact - found).abs().amax() / scale
            if not error <= (bound if place < 4 else 2 * bound):
                print(f"{call_name}, {dtype}: result {place} is off by {float(error):.1e}")
                problems += 1
print(f"{len(CALLS)} calls, {problems} problems")
