"""Trains on lists that are split over processes, with Spearman's loss of the whole lists.

    torchrun --standalone --nproc-per-node 4 docs/examples/train_distributed.py

prints the same as with one process, ``--nproc-per-node 1``. Every process makes the same lists and
keeps its own part of them, a quarter of the items of each list of four; in a job of your own it
would read that part alone. DistributedDataParallel averages gradients over the processes, which is
what ``rank_relax.distributed`` expects: what each step does to the network is what one process with
all of the items would do.

The task: items are in an order that depends on the product of two of their features, and what is
observed of the order is noisy and on a scale that is different for every list, so that only ranks
within a list can be learnt from.
"""

import argparse

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rank_relax.distributed import SpearmanLoss


def make_lists(lists: int, items: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Features [lists, items, 4] and what is observed [lists, items]."""
    features = torch.randn(lists, items, 4, generator=generator)
    signal = features[..., 0] * features[..., 1] + features[..., 2]
    observed = signal + torch.randn(lists, items, generator=generator)
    scale, offset = torch.randn(2, lists, 1, generator=generator)
    return features, torch.exp(scale) * observed + 10 * offset


def rank_of(values: Tensor) -> Tensor:
    """Hard ranks: no gradient is needed of what was observed, so there is nothing to soften."""
    return values.argsort(-1).argsort(-1).float()


def my_part(of_lists: Tensor) -> Tensor:
    """The items of every list that this process holds; dimension 1 is the list."""
    return of_lists.tensor_split(dist.get_world_size(), dim=1)[dist.get_rank()]


def train(model: nn.Module, args: argparse.Namespace) -> None:
    loss = SpearmanLoss(regularization_strength=args.strength)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    generator = torch.Generator().manual_seed(1)
    for _ in range(args.steps):
        features, observed = make_lists(args.lists, args.items, generator)
        predictions = model(my_part(features)).squeeze(-1)
        optimizer.zero_grad()
        loss(predictions, my_part(rank_of(observed))).backward()
        optimizer.step()


@torch.no_grad()
def held_out_spearman(model: nn.Module, args: argparse.Namespace) -> float:
    """Spearman's correlation with hard ranks, averaged over lists that were not trained on."""
    features, observed = make_lists(50, args.items, torch.Generator().manual_seed(2))
    ranks = torch.stack([rank_of(model(features).squeeze(-1)), rank_of(observed)], 1)
    return float(torch.stack([torch.corrcoef(pair)[0, 1] for pair in ranks]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lists", type=int, default=4, help="lists in a batch")
    parser.add_argument("--items", type=int, default=1000, help="items in a list, on all processes")
    parser.add_argument("--strength", type=float, default=2.0)
    args = parser.parse_args()
    dist.init_process_group("gloo")
    try:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
        model = DistributedDataParallel(network)
        before = held_out_spearman(network, args)
        train(model, args)
        after = held_out_spearman(network, args)
        if dist.get_rank() == 0:
            print(f"processes: {dist.get_world_size()}")
            print(f"held-out Spearman: {before:.6f} before training, {after:.6f} after")
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
