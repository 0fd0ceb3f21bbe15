"""Ranking losses in sentence-transformers and pytorch-metric-learning.

Neither is needed to import this module, and none is imported before it is used.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class CrossEncoderLoss(nn.Module):
    """A ranking loss for the CrossEncoderTrainer of sentence-transformers: a query is a list.

    The documents of all queries go through the model in one batch, or in several, and their scores
    into the loss with ``offsets``, where lists of any length need no padding.

    Args:
        model: The ``CrossEncoder``, of one output label.
        loss: Called with (scores, labels, offsets=): a module such as ``rank_relax.NDCGLoss()``, or
            a function such as ``rank_relax.ndcg_loss``.
        activation_fn: Of the scores; the identity if not given.
        mini_batch_size: How many pairs go through the model at once; all if not given. Their
            gradients are kept all the same: it limits the padding.

    Shapes:
        ``inputs`` are (queries, documents), lists of strings and of lists of strings, and
        ``labels`` a list of tensors, one label a document, as those of ``LambdaLoss`` are. Returns
        the loss.

    Raises:
        TypeError: for labels that are one tensor, one label a query.
        ValueError: for a model of more output labels, inputs that are not two, and labels that do
            not fit the documents.

    References:
        ``sentence_transformers.cross_encoder.losses.LambdaLoss``, whose place it takes.

    Example:
        >>> import torch, rank_relax
        >>> from rank_relax.adapters import CrossEncoderLoss
        >>> def train(model, dataset):  # columns: query, docs, labels
        ...     from sentence_transformers.cross_encoder import CrossEncoderTrainer
        ...     loss = CrossEncoderLoss(model, rank_relax.NDCGLoss(k=10))
        ...     CrossEncoderTrainer(model=model, train_dataset=dataset, loss=loss).train()
    """

    def __init__(
        self,
        model: Any,
        loss: Callable[..., Tensor],
        activation_fn: nn.Module | None = None,
        mini_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        if model.num_labels != 1:
            raise ValueError(
                f"CrossEncoderLoss: model must have 1 output label, got {model.num_labels}; make "
                "it with CrossEncoder(..., num_labels=1)"
            )
        self.model = model
        self.loss = loss
        self.activation_fn = activation_fn or nn.Identity()
        self.mini_batch_size = mini_batch_size

    def forward(
        self,
        inputs: list[Any],
        labels: list[Tensor],
        prompt: str | None = None,
        task: str | None = None,
    ) -> Tensor:
        """Returns the loss of a batch of queries with their documents."""
        lengths = _checked_lengths(inputs, labels)
        pairs = [(query, doc) for query, docs in zip(*inputs, strict=True) for doc in docs]
        size = self.mini_batch_size or len(pairs)
        scores = [
            self._scores(pairs[i : i + size], prompt, task) for i in range(0, len(pairs), size)
        ]
        device = scores[0].device
        offsets = torch.tensor([0, *lengths], device=device).cumsum(0)
        result: Tensor = self.loss(
            self.activation_fn(torch.cat(scores)), torch.cat(labels).to(device), offsets=offsets
        )
        return result

    def _scores(self, pairs: list[tuple[str, str]], prompt: str | None, task: str | None) -> Tensor:
        tokens = self.model.preprocess(pairs, prompt=prompt, task=task)
        tokens = {
            name: x.to(self.model.device) if isinstance(x, Tensor) else x
            for name, x in tokens.items()
        }
        scores: Tensor = self.model(tokens)["scores"].view(-1).float()
        return scores

    def get_config_dict(self) -> dict[str, Any]:
        """What a model card says of the loss."""
        return {
            "loss": repr(self.loss),
            "activation_fn": repr(self.activation_fn),
            "mini_batch_size": self.mini_batch_size,
        }


def _checked_lengths(inputs: Any, labels: Any) -> list[int]:
    if isinstance(labels, Tensor):
        raise TypeError(
            "CrossEncoderLoss: labels must be a list of tensors, one label a document, got a "
            "tensor, one a query; give each query a list of labels"
        )
    if len(inputs) != 2:
        raise ValueError(
            f"CrossEncoderLoss: inputs must be (queries, documents), got {len(inputs)} columns; "
            "leave the others out of the data set"
        )
    lengths = [len(documents) for documents in inputs[1]]
    if lengths != [len(of_query) for of_query in labels]:
        raise ValueError(
            f"CrossEncoderLoss: labels must be one a document, {lengths} for these queries, got "
            f"{[len(of_query) for of_query in labels]}"
        )
    if not sum(lengths):
        raise ValueError("CrossEncoderLoss: documents must not be empty for all queries of a batch")
    return lengths


def metric_learning_loss(loss: Callable[..., Tensor], **options: Any) -> Any:
    """A ranking loss as a loss of pytorch-metric-learning: every embedding is a query.

    The others, or the reference embeddings where they are given, are its list, in the order of
    their similarity; relevant are those of its own class. Classes may be of any size, and an
    embedding that has none of its class beside it has loss 0 and a part in no mean.

    Args:
        loss: Called with (scores, labels, mask=, reduction="none"), [queries, n]: a function such
            as ``rank_relax.average_precision_loss``, with ``functools.partial`` for its options.
        **options: Of ``BaseMetricLossFunction``: ``distance`` (``CosineSimilarity()`` if not
            given), ``reducer`` (the mean over queries with a loss), ``embedding_regularizer``.

    Returns:
        A ``pytorch_metric_learning.losses.BaseMetricLossFunction``, called with (embeddings,
        labels), and with ``ref_emb`` and ``ref_labels`` if wanted.

    Raises:
        ImportError: where pytorch-metric-learning is not installed.
        ValueError: when called, for tuples of a miner, which lists have no use for.

    References:
        Brown, Xie, Kalogeiton, Zisserman, "Smooth-AP: smoothing the path towards large-scale image
        retrieval", 2020, with ``average_precision_loss``; but a query is not in its own list.

    Example:
        >>> import functools, rank_relax
        >>> from rank_relax.adapters import metric_learning_loss
        >>> def smooth_ap():
        ...     loss = functools.partial(rank_relax.average_precision_loss, temperature=0.01)
        ...     return metric_learning_loss(loss)
    """
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.losses import (
        BaseMetricLossFunction,
    )

    class MetricLearningLoss(BaseMetricLossFunction):  # type: ignore[misc]
        def compute_loss(
            self,
            embeddings: Tensor,
            labels: Tensor,
            indices_tuple: Any,
            ref_emb: Any,
            ref_labels: Any,
        ) -> dict[str, Any]:
            if indices_tuple is not None:
                raise ValueError(
                    "metric_learning_loss: indices_tuple must be None, got tuples of a miner; a "
                    "list has all items"
                )
            similarity = self.distance(embeddings, ref_emb)
            if not self.distance.is_inverted:  # it is a distance
                similarity = -similarity
            relevant = labels[:, None] == ref_labels[None, :]
            mask = torch.ones_like(relevant)
            if ref_emb is embeddings:
                mask.fill_diagonal_(False)
            losses = loss(similarity, relevant, mask=mask, reduction="none")
            queries = (relevant & mask).any(-1).nonzero().squeeze(-1)
            if not len(queries):
                return {"loss": self.zero_loss()}
            return {
                "loss": {
                    "losses": losses[queries],
                    "indices": queries,
                    "reduction_type": "element",
                }
            }

        def get_default_distance(self) -> Any:
            return CosineSimilarity()

    return MetricLearningLoss(**options)
