"""Which of a user's films will she rate highest? Trains embeddings to put them in order.

Data: MovieLens 100K (the package ``recbole`` holds it), the 568 users with 50 ratings or more. A
user is a list, of which 60 % are for training, 20 % for validation and 20 % for the test: ten films
or more. What is measured is NDCG@10 of the test films, with gains 2^rating - 1, averaged over all
users.

All contenders train the same factorisation (16 numbers for each user and film, and a bias) for ten
epochs of batches of 32 users, and weigh a user by the number of her ratings:

- ``MSE``: the squared error of the rating;
- ``sampled pairs``: RankNet as BPR does it, one random partner of the same user for each film;
- ``pairwise_logistic_loss``: the same loss of all pairs;
- ``listnet_loss`` and ``ndcg_loss``: of whole lists.

Each has six candidates: three weight decays, at two temperatures; MSE has none, and so two learning
rates. They were chosen by looking at validation films of a split that no seed here draws.
"""

from functools import cache, partial
from typing import NamedTuple

import pandas as pd
import torch
from comparison import Candidate, Loss, Outcome, candidates, package_file, run, train
from torch import Tensor, nn

from rank_relax import listnet_loss, ndcg_loss, pairwise_logistic_loss

USERS_IN_BATCH = 32
EPOCHS = 10


class Ratings(NamedTuple):
    """Sorted by user: one list behind the other."""

    user: Tensor
    film: Tensor
    rating: Tensor

    def offsets(self) -> Tensor:
        """Where each user's ratings begin and the last one's end."""
        counts = self.user.unique_consecutive(return_counts=True)[1]
        return nn.functional.pad(counts.cumsum(0), (1, 0))

    def at(self, items: Tensor) -> "Ratings":
        return Ratings(*(column[items] for column in self))


class Factorisation(nn.Module):
    def __init__(self, users: int, films: int, width: int = 16) -> None:
        super().__init__()
        self.users, self.films = nn.Embedding(users, width), nn.Embedding(films, width)
        self.user_bias, self.film_bias = nn.Embedding(users, 1), nn.Embedding(films, 1)
        for factors in (self.users, self.films):
            nn.init.normal_(factors.weight, std=0.1)
        for bias in (self.user_bias, self.film_bias):
            nn.init.zeros_(bias.weight)

    def forward(self, user: Tensor, film: Tensor) -> Tensor:
        bias = self.user_bias(user) + self.film_bias(film)
        return (self.users(user) * self.films(film)).sum(-1) + bias.squeeze(-1)


def squared_error(scores: Tensor, ratings: Tensor, *, offsets: Tensor) -> Tensor:
    """From scores of 0 for the middle of the ratings, where the network begins."""
    return torch.segment_reduce((scores + 3.5 - ratings) ** 2, "mean", offsets=offsets)


def sampled_pairs(
    scores: Tensor, ratings: Tensor, *, offsets: Tensor, temperature: float
) -> Tensor:
    """Logistic loss of each item and one random other of its list, where their ratings differ."""
    lengths = offsets.diff()
    one_list = torch.repeat_interleave(lengths)
    partner = offsets[one_list] + (torch.rand(len(scores)) * lengths[one_list]).long()
    sign = (ratings - ratings[partner]).sign()
    losses = nn.functional.softplus(-sign * (scores - scores[partner]) / temperature) * sign.abs()
    total, pairs = (torch.segment_reduce(x, "sum", offsets=offsets) for x in (losses, sign.abs()))
    return total / pairs.clamp(min=1)


WEIGHT_DECAYS = (1.0, 1.5, 2.0)


def at_temperatures(loss: Loss, *temperatures: float, **options: object) -> list[Candidate]:
    losses = [partial(loss, temperature=t, **options) for t in temperatures]
    return candidates(losses, (0.1,), WEIGHT_DECAYS)


CONTENDERS = {
    "MSE": candidates([squared_error], (0.03, 0.1), WEIGHT_DECAYS),
    "sampled pairs": at_temperatures(sampled_pairs, 1.0, 0.5),
    "pairwise_logistic_loss": at_temperatures(pairwise_logistic_loss, 1.0, 0.5, reduction="none"),
    "listnet_loss": at_temperatures(listnet_loss, 1.0, 2.0, reduction="none"),
    "ndcg_loss": at_temperatures(ndcg_loss, 0.1, 0.3, reduction="none"),
}


@cache
def load_ratings() -> Ratings:
    path = package_file("recbole", "recbole/dataset_example/ml-100k/ml-100k.inter")
    table = pd.read_csv(path, sep="\t", header=0, names=["user", "film", "rating", "time"])
    table = table[table.groupby("user")["rating"].transform("size") >= 50].sort_values("user")
    user, film = (torch.from_numpy(table[name].factorize()[0]) for name in ("user", "film"))
    return Ratings(user, film, torch.tensor(table["rating"].to_numpy("float32")))


def split_each_user(ratings: Ratings, seed: int) -> list[Ratings]:
    """Training, validation and test ratings of each user."""
    shuffled = torch.randperm(len(ratings.user), generator=torch.Generator().manual_seed(seed))
    shuffled = shuffled[ratings.user[shuffled].argsort(stable=True)]
    lists = shuffled.split(ratings.offsets().diff().tolist())
    parts = zip(
        *(x.tensor_split([int(0.6 * len(x)), int(0.8 * len(x))]) for x in lists), strict=True
    )
    return [ratings.at(torch.cat(part)) for part in parts]


@torch.no_grad()
def ndcg_at_10(network: nn.Module, ratings: Ratings) -> float:
    discount = 1 / torch.log2(torch.arange(2.0, 12.0))
    lengths = ratings.offsets().diff().tolist()
    scores = network(ratings.user, ratings.film)
    found = []
    for own, rating in zip(scores.split(lengths), ratings.rating.split(lengths), strict=True):
        gain = 2.0**rating - 1
        reached = gain[own.argsort(descending=True)][:10] @ discount[: len(gain)]
        found.append(reached / (gain.sort(descending=True).values[:10] @ discount[: len(gain)]))
    return torch.stack(found).mean().item()


def try_out(seed: int, candidate: Candidate) -> Outcome:
    ratings = load_ratings()
    training, validation, test = split_each_user(ratings, seed)
    torch.manual_seed(seed)
    network = Factorisation(int(ratings.user.max()) + 1, int(ratings.film.max()) + 1)
    lists = torch.arange(len(training.user)).split(training.offsets().diff().tolist())
    batches = [
        torch.cat([lists[user] for user in users])
        for _ in range(EPOCHS)
        for users in torch.randperm(len(lists)).split(USERS_IN_BATCH)
    ]

    def loss_of(batch: Tensor) -> Tensor:
        user, film, rating = part = training.at(batch)
        offsets = part.offsets()
        by_user = candidate.loss(network(user, film), rating, offsets=offsets)
        return by_user @ offsets.diff().to(by_user.dtype) / len(batch)

    train(network, candidate, batches, loss_of)
    names = ({"NDCG@10": ndcg_at_10(network, part)} for part in (validation, test))
    return Outcome(*names)


if __name__ == "__main__":
    run(__doc__, {"MovieLens 100K, unseen films": (CONTENDERS, try_out)})
