"""Differentiable ranks for PyTorch.

Importing the package registers the operators ``torch.ops.rank_relax.*``; the functions and modules
here are thin fronts for them.
"""

from rank_relax import _library, _vmap, distributed, torchsort
from rank_relax.ranks import SoftRank, soft_rank
from rank_relax.spearman import SpearmanLoss, spearman_loss

_library.load()
_vmap.register()

__all__ = [
    "SoftRank",
    "SpearmanLoss",
    "distributed",
    "soft_rank",
    "spearman_loss",
    "torchsort",
]
