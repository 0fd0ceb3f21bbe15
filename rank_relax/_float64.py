"""Devices that have no float64: csrc/torch/any_device/float64.h, whose library has the list."""

import torch

from rank_relax._sharding import OptionalTensor

_devices_without: list[str] = []


def register() -> None:
    """Asks the library once, as a compiled graph cannot."""
    _devices_without.extend(torch.ops.rank_relax._devices_without_float64.default())


def has_float64(device: torch.device) -> bool:
    """Whether a tensor of float64 can be there."""
    return device.type not in _devices_without


def on_the_host(tensor: OptionalTensor) -> OptionalTensor:
    """Its copy on the CPU, where there is float64."""
    return None if tensor is None else tensor.cpu()
