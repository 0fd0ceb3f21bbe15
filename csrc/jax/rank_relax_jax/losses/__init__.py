"""Ranking losses."""

from rank_relax_jax.losses.adr_mse import adr_mse_loss
from rank_relax_jax.losses.auc import auc_loss
from rank_relax_jax.losses.average_precision import average_precision_loss
from rank_relax_jax.losses.cosent import cosent_loss
from rank_relax_jax.losses.kendall import kendall_loss
from rank_relax_jax.losses.listmle import listmle_loss
from rank_relax_jax.losses.listnet import listnet_loss
from rank_relax_jax.losses.mrr import mrr_loss
from rank_relax_jax.losses.ndcg import ndcg_loss
from rank_relax_jax.losses.pairwise_logistic import pairwise_logistic_loss
from rank_relax_jax.losses.precision_at_k import precision_at_k_loss
from rank_relax_jax.losses.recall_at_k import recall_at_k_loss

__all__ = [
    "adr_mse_loss",
    "auc_loss",
    "average_precision_loss",
    "cosent_loss",
    "kendall_loss",
    "listmle_loss",
    "listnet_loss",
    "mrr_loss",
    "ndcg_loss",
    "pairwise_logistic_loss",
    "precision_at_k_loss",
    "recall_at_k_loss",
]
