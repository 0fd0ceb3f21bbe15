"""What the modules of all ranking losses have in common."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from rank_relax._strength import (
    Strength,
    as_float,
    checked_temperature,
    describe_number,
    set_number,
)


class RankingLoss(nn.Module):
    """A loss of scores and labels as a module, which keeps its options."""

    function: ClassVar[Callable[..., Tensor]]
    temperature: Strength

    def __init__(self, temperature: Strength, **options: Any) -> None:
        super().__init__()
        checked_temperature(type(self).__name__, temperature)
        is_tensor = isinstance(temperature, Tensor)
        set_number(self, "temperature", temperature if is_tensor else as_float(temperature))
        self.options = options

    def forward(
        self,
        scores: Tensor,
        labels: Tensor,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Returns the function of these lists, with the module's options."""
        return type(self).function(
            scores,
            labels,
            mask=mask,
            weights=weights,
            offsets=offsets,
            temperature=self.temperature,
            **self.options,
        )

    def extra_repr(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{options}, {describe_number('temperature', self.temperature)}"
