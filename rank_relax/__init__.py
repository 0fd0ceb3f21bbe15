"""Differentiable ranks, sorts, quantiles and top-k masks for PyTorch.

Importing the package registers the operators ``torch.ops.rank_relax.*``; the functions and modules
here are thin fronts for them.
"""

from pathlib import Path

from rank_relax import (
    _float64,
    _library,
    _operators,
    _sharding,
    _vmap,
    boosting,
    distributed,
    torchsort,
)
from rank_relax._checks import Method, SmoothCdf
from rank_relax.correlations import spearman_correlation
from rank_relax.counts import soft_count
from rank_relax.hard_ranks import hard_rank
from rank_relax.losses import (
    ADRMSELoss,
    AUCLoss,
    AveragePrecisionLoss,
    ConcordanceLoss,
    CoSENTLoss,
    CVaR,
    KendallLoss,
    LambdaLoss,
    ListMLELoss,
    ListNetLoss,
    MRRLoss,
    NDCGLoss,
    NormalScoresLoss,
    PairwiseLogisticLoss,
    PartialAUCLoss,
    PrecisionAtKLoss,
    RecallAtKLoss,
    SmoothAPLoss,
    TopKCrossEntropyLoss,
    TrimmedMean,
    adr_mse_loss,
    auc_loss,
    average_precision_loss,
    concordance_loss,
    cosent_loss,
    cvar,
    ipcw_weights,
    kendall_loss,
    lambda_loss,
    listmle_loss,
    listnet_loss,
    mrr_loss,
    ndcg_loss,
    normal_scores_loss,
    pairwise_logistic_loss,
    partial_auc_loss,
    precision_at_k_loss,
    recall_at_k_loss,
    smooth_ap_loss,
    topk_cross_entropy_loss,
    trimmed_mean,
)
from rank_relax.offsets import offsets_from_ids, offsets_from_lengths, sort_by_ids
from rank_relax.quantiles import SoftQuantile, soft_quantile
from rank_relax.ranks import SoftRank, soft_rank
from rank_relax.sorts import SoftSort, soft_sort
from rank_relax.spearman import SpearmanLoss, spearman_loss
from rank_relax.topk import SoftTopK, soft_topk

__version__ = _library.version()

_library.load()
_float64.register()
_operators.register()
_vmap.register()
_sharding.register()

# For CMAKE_PREFIX_PATH, so that find_package(rank_relax) finds this package.
cmake_prefix_path = str(Path(__file__).parent / "share" / "cmake")

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
    "Method",
    "NDCGLoss",
    "NormalScoresLoss",
    "PairwiseLogisticLoss",
    "PartialAUCLoss",
    "PrecisionAtKLoss",
    "RecallAtKLoss",
    "SmoothAPLoss",
    "SmoothCdf",
    "SoftQuantile",
    "SoftRank",
    "SoftSort",
    "SoftTopK",
    "SpearmanLoss",
    "TopKCrossEntropyLoss",
    "TrimmedMean",
    "__version__",
    "adr_mse_loss",
    "auc_loss",
    "average_precision_loss",
    "boosting",
    "cmake_prefix_path",
    "concordance_loss",
    "cosent_loss",
    "cvar",
    "distributed",
    "hard_rank",
    "ipcw_weights",
    "kendall_loss",
    "lambda_loss",
    "listmle_loss",
    "listnet_loss",
    "mrr_loss",
    "ndcg_loss",
    "normal_scores_loss",
    "offsets_from_ids",
    "offsets_from_lengths",
    "pairwise_logistic_loss",
    "partial_auc_loss",
    "precision_at_k_loss",
    "recall_at_k_loss",
    "smooth_ap_loss",
    "soft_count",
    "soft_quantile",
    "soft_rank",
    "soft_sort",
    "soft_topk",
    "sort_by_ids",
    "spearman_correlation",
    "spearman_loss",
    "topk_cross_entropy_loss",
    "torchsort",
    "trimmed_mean",
]
