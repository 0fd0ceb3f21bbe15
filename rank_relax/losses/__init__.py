"""Losses of scores and labels: ranking metrics, smoothed, and losses of pairs and of lists."""

from rank_relax.losses.auc import AUCLoss, auc_loss
from rank_relax.losses.average_precision import AveragePrecisionLoss, average_precision_loss
from rank_relax.losses.concordance import ConcordanceLoss, concordance_loss, ipcw_weights
from rank_relax.losses.cosent import CoSENTLoss, cosent_loss
from rank_relax.losses.kendall import KendallLoss, kendall_loss
from rank_relax.losses.listmle import ListMLELoss, listmle_loss
from rank_relax.losses.listnet import ListNetLoss, listnet_loss
from rank_relax.losses.mrr import MRRLoss, mrr_loss
from rank_relax.losses.ndcg import NDCGLoss, ndcg_loss
from rank_relax.losses.pairwise_logistic import PairwiseLogisticLoss, pairwise_logistic_loss
from rank_relax.losses.smooth_ap import SmoothAPLoss, smooth_ap_loss

__all__ = [
    "AUCLoss",
    "AveragePrecisionLoss",
    "CoSENTLoss",
    "ConcordanceLoss",
    "KendallLoss",
    "ListMLELoss",
    "ListNetLoss",
    "MRRLoss",
    "NDCGLoss",
    "PairwiseLogisticLoss",
    "SmoothAPLoss",
    "auc_loss",
    "average_precision_loss",
    "concordance_loss",
    "cosent_loss",
    "ipcw_weights",
    "kendall_loss",
    "listmle_loss",
    "listnet_loss",
    "mrr_loss",
    "ndcg_loss",
    "pairwise_logistic_loss",
    "smooth_ap_loss",
]
