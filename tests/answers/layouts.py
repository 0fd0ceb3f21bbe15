"""Where the items of a tensor may lie in memory: the same values, other strides."""

from collections.abc import Callable

import torch
from torch import Tensor

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda t: t.transpose(0, -1).contiguous().transpose(0, -1),
    "step slice": lambda t: t.repeat_interleave(3, -1)[..., 1::3],
    "row slice": lambda t: t.repeat_interleave(2, 0)[::2],
    "storage offset": lambda t: torch.cat([t[:1], t])[1:],
    "padded rows": lambda t: torch.nn.functional.pad(t.double(), (1, 2)).to(t.dtype)[..., 1:-2],
    "expanded rows": lambda t: t[:1].expand_as(t),
    "expanded items": lambda t: t[..., :1].expand_as(t),
    "negated view": lambda t: torch._neg_view(-t) if t.dtype != torch.bool else t,
}
