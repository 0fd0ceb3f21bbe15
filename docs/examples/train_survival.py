"""Who will die first? Trains a small network to put people in order of their risk.

Data: 7,874 people whose blood was assayed for free light chains; 28 % died in up to fourteen years
of observation, of the others it is known only that they lived until they were last seen
(Dispenzieri et al. 2012; the package ``scikit-survival`` holds it). What is measured is Harrell's
C-index: of all pairs of a death and somebody who was still alive then, how many are in order.

Both contenders train the same network for twenty epochs of batches of 512:

- ``Cox``: the partial likelihood, ties as in Breslow's;
- ``concordance_loss``: one minus the C-index, with a sigmoid in place of each step.

Each has six candidates: three learning rates, at two temperatures; Cox has none, and so six rates.
They were chosen by looking at validation items of five splits that no seed here draws.
"""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from comparison import (
    Candidate,
    Outcome,
    Scores,
    candidates,
    draw_batches,
    package_file,
    perceptron,
    run,
    split,
    train,
)
from scipy.io import arff
from torch import Tensor, nn

from rank_relax import concordance_loss

BATCH = 512
EPOCHS = 20


class People(NamedTuple):
    features: Tensor  # [people, 7], standardised
    time: Tensor  # of the death, or when last seen alive
    death: Tensor


def cox_loss(scores: Tensor, times: Tensor, events: Tensor) -> Tensor:
    """Minus the log of the partial likelihood, a death: scores are log hazards."""
    times, order = times.sort(descending=True)
    scores, events = scores[order], events[order]
    still_alive = torch.searchsorted(-times, -times, right=True) - 1
    at_risk = scores.logcumsumexp(0)[still_alive]
    return ((at_risk - scores) * events).sum() / events.sum().clamp(min=1)


def ordered_pairs(times: Tensor, events: Tensor) -> Tensor:
    """Where the death of the row's person came before the column's time."""
    return (times[:, None] < times) & events[:, None]


CONTENDERS = {
    "Cox": candidates([cox_loss], (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)),
    "concordance_loss": candidates(
        [partial(concordance_loss, temperature=t) for t in (1.0, 0.3)], (1e-3, 3e-3, 1e-2)
    ),
}


@cache
def load_people() -> People:
    path = package_file("scikit-survival", "sksurv/datasets/data/flchain.arff")
    table = pd.DataFrame(arff.loadarff(path)[0])
    creatinine = table["creatinine"]
    features = pd.DataFrame(
        {
            "age": table["age"],
            "male": table["sex"] == b"M",
            "kappa": np.log(table["kappa"]),
            "lambda": np.log(table["lambda"]),
            "creatinine": np.log(creatinine.fillna(creatinine.median())),
            "creatinine unknown": creatinine.isna(),
            "gammopathy": table["mgus"] == b"yes",
        }
    ).astype(np.float32)
    features = (features - features.mean()) / features.std()
    return People(
        torch.tensor(features.to_numpy()),
        torch.tensor(table["futime"].to_numpy()),
        torch.tensor((table["death"] == b"dead").to_numpy()),
    )


@torch.no_grad()
def c_index(network: nn.Module, people: People, items: Tensor) -> Scores:
    scores = network(people.features[items]).squeeze(-1)
    difference = scores[:, None] - scores
    order = (1 + difference.sign().double()) / 2  # ½ for equal scores
    return {"C-index": order[ordered_pairs(people.time[items], people.death[items])].mean().item()}


def try_out(seed: int, candidate: Candidate) -> Outcome:
    people = load_people()
    training, validation, test = split(len(people.time), seed)
    torch.manual_seed(seed)
    network = perceptron(people.features.shape[1])

    def loss_of(batch: Tensor) -> Tensor:
        scores = network(people.features[batch]).squeeze(-1)
        return candidate.loss(scores, people.time[batch], people.death[batch])

    train(network, candidate, draw_batches(training, BATCH, EPOCHS), loss_of)
    return Outcome(*(c_index(network, people, part) for part in (validation, test)))


if __name__ == "__main__":
    run(__doc__, {"flchain": (CONTENDERS, try_out)})
