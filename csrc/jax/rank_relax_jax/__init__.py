"""Differentiable ranks, sorts, quantiles, top-k masks and ranking losses for JAX, on the CPU.

Importing the package registers its handlers with XLA. They are exact and in O(n) a list; every
function can be compiled, mapped over and differentiated, forward and in reverse, again and again.
"""

from typing import TYPE_CHECKING

from rank_relax_jax._checks import Method, SmoothCdf
from rank_relax_jax.counts import soft_count
from rank_relax_jax.hard_ranks import hard_rank
from rank_relax_jax.losses import (
    adr_mse_loss,
    auc_loss,
    average_precision_loss,
    cosent_loss,
    kendall_loss,
    listmle_loss,
    listnet_loss,
    mrr_loss,
    ndcg_loss,
    pairwise_logistic_loss,
    precision_at_k_loss,
    recall_at_k_loss,
)
from rank_relax_jax.quantiles import soft_quantile
from rank_relax_jax.ranks import soft_rank
from rank_relax_jax.sorts import soft_sort
from rank_relax_jax.spearman import spearman_loss
from rank_relax_jax.topk import soft_topk

from rank_relax_jax import _kernel  # isort: skip

if TYPE_CHECKING:
    from jax.export import DisabledSafetyCheck

__version__ = "0.1.0"


def safety_checks() -> "list[DisabledSafetyCheck]":
    """What ``jax.export.export`` needs as ``disabled_checks`` to let this library's calls through.

    Whoever runs the exported function imports this package before.

    Example:
        >>> import jax, jax.export, jax.numpy as jnp, rank_relax_jax
        >>> ranks = jax.jit(lambda x: rank_relax_jax.soft_rank(x, 100.0))
        >>> exported = jax.export.export(ranks, disabled_checks=rank_relax_jax.safety_checks())(
        ...     jax.ShapeDtypeStruct((3,), jnp.float32)
        ... )
        >>> jax.export.deserialize(exported.serialize()).call(jnp.array([0.3, 2.0, -1.0]))
        Array([0.5, 1. , 0. ], dtype=float32)
    """
    from jax.export import DisabledSafetyCheck  # which imports more than everyone has

    return [DisabledSafetyCheck.custom_call(name) for name in _kernel.NAMES]


__all__ = [
    "Method",
    "SmoothCdf",
    "adr_mse_loss",
    "auc_loss",
    "average_precision_loss",
    "cosent_loss",
    "hard_rank",
    "kendall_loss",
    "listmle_loss",
    "listnet_loss",
    "mrr_loss",
    "ndcg_loss",
    "pairwise_logistic_loss",
    "precision_at_k_loss",
    "recall_at_k_loss",
    "safety_checks",
    "soft_count",
    "soft_quantile",
    "soft_rank",
    "soft_sort",
    "soft_topk",
    "spearman_loss",
]
