"""pytorch-metric-learning: its Smooth-AP of embeddings."""

from pytorch_metric_learning.losses import SmoothAPLoss

from peers import Contestant, Function, Problem


def loss(problem: Problem) -> Function:
    return SmoothAPLoss(temperature=1 / problem.strength)


def contestants() -> list[Contestant]:
    """Its formula is Smooth-AP's where there are as many classes as each has items."""
    return [
        Contestant(
            "Smooth-AP", "pytorch-metric-learning", "temperature 1/α", loss,
            "rank_relax, sigmoid", loss, 400,
        )
    ]  # fmt: skip
