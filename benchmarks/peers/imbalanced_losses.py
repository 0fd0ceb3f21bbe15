"""imbalanced-losses: its Smooth-AP of scores, which takes one list a call."""

from imbalanced_losses import SmoothAPLoss
from torch import Tensor

from peers import Contestant, Function, Problem, ours
from peers.definitions import average_precision


def loss(problem: Problem) -> Function:
    one = SmoothAPLoss(num_classes=1, queue_size=0, temperature=1 / problem.strength)

    def function(x: Tensor, y: Tensor) -> Tensor:
        losses = [one(list_[:, None], of.long()) for list_, of in zip(x, y, strict=True)]
        return sum(losses[1:], losses[0]) / len(losses)

    return function


def contestants() -> list[Contestant]:
    return [
        Contestant(
            "AP", "imbalanced-losses", "temperature 1/α", loss, "rank_relax, sigmoid",
            ours.plainly(average_precision), note="a call for each list",
        )
    ]  # fmt: skip
