"""allRank's losses without the packages that its loaders of data ask for."""

import sys
import types
from typing import Any

import torch


def losses() -> Any:
    """The module ``allrank.models.losses``, or an ImportError."""
    data, models = (types.ModuleType(f"allrank.{m}") for m in ("data", "models.model_utils"))
    loading = types.ModuleType("allrank.data.dataset_loading")
    loading.PADDED_Y_VALUE = -1  # type: ignore[attr-defined]
    models.get_torch_device = lambda: torch.device("cpu")  # type: ignore[attr-defined]
    for module in (data, loading, models):
        sys.modules.setdefault(module.__name__, module)
    from allrank.models import losses

    return losses
