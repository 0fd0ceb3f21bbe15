"""Losses of scores and labels: ranking metrics, smoothed, and losses of pairs and of lists."""

from rank_relax.losses.adr_mse import ADRMSELoss, adr_mse_loss
from rank_relax.losses.auc import AUCLoss, auc_loss
from rank_relax.losses.average_precision import AveragePrecisionLoss, average_precision_loss
from rank_relax.losses.concordance import ConcordanceLoss, concordance_loss, ipcw_weights
from rank_relax.losses.cosent import CoSENTLoss, cosent_loss
from rank_relax.losses.kendall import KendallLoss, kendall_loss
from rank_relax.losses.lambda_rank import LambdaLoss, lambda_loss
from rank_relax.losses.listmle import ListMLELoss, listmle_loss
from rank_relax.losses.listnet import ListNetLoss, listnet_loss
from rank_relax.losses.mrr import MRRLoss, mrr_loss
from rank_relax.losses.ndcg import NDCGLoss, ndcg_loss
from rank_relax.losses.normal_scores import NormalScoresLoss, normal_scores_loss
from rank_relax.losses.pairwise_logistic import PairwiseLogisticLoss, pairwise_logistic_loss
from rank_relax.losses.partial_auc import PartialAUCLoss, partial_auc_loss
from rank_relax.losses.precision_at_k import PrecisionAtKLoss, precision_at_k_loss
from rank_relax.losses.recall_at_k import RecallAtKLoss, recall_at_k_loss
from rank_relax.losses.robust_means import CVaR, TrimmedMean, cvar, trimmed_mean
from rank_relax.losses.smooth_ap import SmoothAPLoss, smooth_ap_loss
from rank_relax.losses.topk_cross_entropy import TopKCrossEntropyLoss, topk_cross_entropy_loss

__all__ = [
    "ADRMSELoss",
    "AUCLoss",
    "AveragePrecisionLoss",
    "CVaR",
    "CoSENTLoss",
    "ConcordanceLoss",
    "KendallLoss",
    "LambdaLoss",
    "ListMLELoss",
    "ListNetLoss",
    "MRRLoss",
    "NDCGLoss",
    "NormalScoresLoss",
    "PairwiseLogisticLoss",
    "PartialAUCLoss",
    "PrecisionAtKLoss",
    "RecallAtKLoss",
    "SmoothAPLoss",
    "TopKCrossEntropyLoss",
    "TrimmedMean",
    "adr_mse_loss",
    "auc_loss",
    "average_precision_loss",
    "concordance_loss",
    "cosent_loss",
    "cvar",
    "ipcw_weights",
    "kendall_loss",
    "lambda_loss",
    "listmle_loss",
    "listnet_loss",
    "mrr_loss",
    "ndcg_loss",
    "normal_scores_loss",
    "pairwise_logistic_loss",
    "partial_auc_loss",
    "precision_at_k_loss",
    "recall_at_k_loss",
    "smooth_ap_loss",
    "topk_cross_entropy_loss",
    "trimmed_mean",
]
