"""Differentiable ranks for PyTorch.

Importing the package registers the operators ``torch.ops.rank_relax.*``; the functions and modules
here are thin fronts for them.
"""

from rank_relax import _library

_library.load()

from rank_relax import _vmap  # noqa: E402  (needs the operators)
from rank_relax.ranks import SoftRank, soft_rank  # noqa: E402
from rank_relax.spearman import SpearmanLoss, spearman_loss  # noqa: E402

_vmap.register()

__all__ = ["SoftRank", "SpearmanLoss", "soft_rank", "spearman_loss"]
