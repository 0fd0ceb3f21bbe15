"""The average precision of retrieval among embeddings as a loss."""

import torch
from torch import Tensor, nn

from rank_relax._calls import public
from rank_relax._checks import (
    Reduction,
    check_bool,
    check_items,
    check_mask_of,
    check_reduction,
    check_same_device,
    check_scores,
    check_tensor,
)
from rank_relax._integers import in_int64, is_integer
from rank_relax._scores import result_dtype
from rank_relax._strength import (
    Strength,
    as_float,
    checked_temperature,
    describe_number,
    name_of,
    set_number,
)
from rank_relax.ranks import soft_rank

# Queries are taken together while their lists have so many items: what is made on the way to a
# chunk's precisions stays in the cache, and is gone before the next one.
ITEMS_OF_A_CHUNK = 2**18


@public
def smooth_ap_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    reference: Tensor | None = None,
    reference_labels: Tensor | None = None,
    include_query: bool = False,
    normalize: bool = True,
    mask: Tensor | None = None,
    temperature: Strength = 0.01,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the average precision with which embeddings find their class (Smooth-AP).

    .. math:: L_q = 1 - \frac{1}{|P_q|} \sum_{i \in P_q}
        \frac{1 + \sum_{j \in P_q,\, j \neq i} F((s_{qj} - s_{qi}) / T)}
        {1 + \sum_{j \neq i} F((s_{qj} - s_{qi}) / T)}

    with F the logistic function, T the ``temperature``, s the similarities and P_q what is of the
    class of the query q. Every embedding is a query, and the others are its list: B lists in
    O(B M D) time on the CPU and O(B M) memory, not O(B³), of classes of any sizes.

    Args:
        embeddings: ``[B, D]``, float64, float32, bfloat16 or float16.
        labels: The classes ``[B]``, of any integer dtype or bool.
        reference: Embeddings ``[M, D]`` to search in place of the batch, such as a memory bank or a
            queue. They have a gradient if they require one.
        reference_labels: Their classes, ``[M]``.
        include_query: Whether a query is in its own list, where it comes first, and in P_q, as in
            the published code. Not with a ``reference``.
        normalize: Whether similarities are cosines. If false, they are inner products.
        mask: Bool, ``[B, B]`` or ``[B, M]``, true where an item counts for a query. It leaves the
            query out of a ``reference`` that holds it.
        temperature: T > 0, in units of the similarities: smaller is closer to the metric. A 0-dim
            tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over queries, or ``"none"`` for one loss per query.

    Returns:
        A scalar, or ``[B]`` for ``reduction="none"``, of the dtype of ``embeddings``. A query with
        nothing of its class in its list has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Brown, Xie, Kalogeiton, Zisserman, "Smooth-AP: smoothing the path towards large-scale image
        retrieval", 2020.

    Example:
        >>> import torch, rank_relax
        >>> embeddings = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> rank_relax.smooth_ap_loss(embeddings, labels, reduction="none")
        tensor([0.5000, 0.6667, 0.6667, 0.5000])
    """
    strength = checked_temperature("smooth_ap_loss", temperature)
    check_smooth_ap_options("smooth_ap_loss", include_query, normalize, reduction)
    _check("smooth_ap_loss", embeddings, labels, reference, reference_labels, include_query, mask)
    precision = torch.promote_types(embeddings.dtype, torch.float32)
    if reference is not None:
        precision = torch.promote_types(precision, reference.dtype)
    queries, classes = _prepared(embeddings.to(precision), normalize), in_int64(labels)
    items, classes_of_items, counting = queries, classes, mask
    if reference is not None and reference_labels is not None:
        items = _prepared(reference.to(precision), normalize)
        classes_of_items = in_int64(reference_labels)
    elif not include_query:
        others = ~torch.eye(queries.shape[0], dtype=torch.bool, device=queries.device)
        counting = others if mask is None else mask & others

    def of_chunk(queries: Tensor, classes: Tensor, counting: Tensor | None) -> list[Tensor]:
        negated = _products(-queries, items)
        same_class = classes[:, None] == classes_of_items
        return _losses(negated, same_class, counting, strength)

    if torch.compiler.is_compiling():  # which fuses, and where the number of chunks is not known
        losses, has_loss = of_chunk(queries, classes, counting)
    else:
        size = max(1, ITEMS_OF_A_CHUNK // max(1, items.shape[0]))
        begins = range(0, max(1, queries.shape[0]), size)
        parts = [slice(begin, begin + size) for begin in begins]
        chunks = [
            of_chunk(queries[part], classes[part], None if counting is None else counting[part])
            for part in parts
        ]
        losses, has_loss = (torch.cat(part) for part in zip(*chunks, strict=True))
    if reduction == "mean":
        losses = losses.sum() / has_loss.sum().clamp(min=1)
    elif reduction == "sum":
        losses = losses.sum()
    return losses.to(result_dtype(embeddings.dtype, embeddings.device))


def _prepared(embeddings: Tensor, normalize: bool) -> Tensor:
    return nn.functional.normalize(embeddings, dim=-1) if normalize else embeddings


def _products(queries: Tensor, items: Tensor) -> Tensor:
    """The inner products ``[B, M]``, in the precision of their factors under autocast too."""
    device = queries.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return queries @ items.mT
    with torch.autocast(device, enabled=False):
        return queries @ items.mT


def _losses(
    negated: Tensor, same_class: Tensor, counting: Tensor | None, strength: Strength
) -> list[Tensor]:
    """The loss of each query, and which of them have one, from minus its similarities."""
    positive = same_class if counting is None else same_class & counting
    positives = positive.sum(-1, keepdim=True)
    number = negated.shape[-1] if counting is None else counting.sum(-1, keepdim=True)
    among_positives = soft_rank(negated, strength, mask=positive)
    among_all = soft_rank(negated, strength, mask=counting)
    # Ranks are counts over what others there are: 0 where there are none.
    precision = (1 + (positives - 1) * among_positives) / (1 + (number - 1) * among_all)
    found = torch.where(positive, precision, 0).sum(-1)
    unknown = among_all.isnan().any(-1)
    positives = positives.squeeze(-1)
    losses = torch.where(positives > 0, 1 - found / positives.clamp(min=1), 0)
    return [losses + torch.where(unknown, torch.nan, 0), (positives > 0) | unknown]


def check_smooth_ap_options(
    function: str, include_query: object, normalize: object, reduction: object
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_bool(function, "include_query", include_query)
    check_bool(function, "normalize", normalize)
    check_reduction(function, reduction)


def _check(
    function: str,
    embeddings: Tensor,
    labels: Tensor,
    reference: Tensor | None,
    reference_labels: Tensor | None,
    include_query: bool,
    mask: Tensor | None,
) -> None:
    _check_embeddings(function, "embeddings", embeddings, "B")
    _check_classes(function, "labels", labels, "embeddings", embeddings)
    if (reference is None) != (reference_labels is None):
        raise ValueError(
            f"{function}: reference and reference_labels must be given together, got one of them"
        )
    items = embeddings
    if reference is not None and reference_labels is not None:
        _check_embeddings(function, "reference", reference, "M")
        _check_classes(function, "reference_labels", reference_labels, "reference", reference)
        check_same_device(function, "reference", reference, "embeddings", embeddings)
        if reference.shape[-1] != embeddings.shape[-1]:
            raise ValueError(
                f"{function}: reference must have as many columns as embeddings, "
                f"{embeddings.shape[-1]}, got {reference.shape[-1]}"
            )
        if include_query:
            raise ValueError(
                f"{function}: include_query must be false with a reference, which holds the "
                "queries or not; use mask to leave them out"
            )
        items = reference
    if mask is not None:
        similarities = embeddings.new_empty(()).expand(embeddings.shape[0], items.shape[0])
        check_mask_of(function, mask, "the similarities", similarities)


def _check_embeddings(function: str, name: str, value: object, rows: str) -> None:
    check_tensor(function, name, value)
    assert isinstance(value, Tensor)
    if value.dim() != 2:
        raise ValueError(
            f"{function}: {name} must be [{rows}, D], one in each row, got shape "
            f"{list(value.shape)}"
        )
    check_scores(function, name, value)


def _check_classes(
    function: str, name: str, value: object, embeddings_name: str, embeddings: Tensor
) -> None:
    check_tensor(function, name, value)
    assert isinstance(value, Tensor)
    if not is_integer(value.dtype):
        raise TypeError(
            f"{function}: {name} must be of an integer dtype or bool, one class for each row of "
            f"{embeddings_name}, got {name_of(value.dtype)}; convert it with {name}.long()"
        )
    check_items(function, name, value)
    check_same_device(function, name, value, embeddings_name, embeddings)
    if value.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{function}: {name} must have one class for each row of {embeddings_name}, "
            f"{embeddings.shape[0]}, got shape {list(value.shape)}"
        )


class SmoothAPLoss(nn.Module):
    """One minus the average precision with which embeddings find their class, as a module.

    Args:
        include_query: As in :func:`smooth_ap_loss`, like all that follow.
        normalize: Whether similarities are cosines.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``embeddings`` ``[B, D]``, ``labels`` ``[B]``, and if there is a reference set, ``[M, D]``
        and ``[M]``; returns a scalar, or one loss per query for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`smooth_ap_loss` would refuse; when called,
            as it does.

    References:
        Those of :func:`smooth_ap_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.SmoothAPLoss(normalize=False)
        >>> loss(torch.tensor([[1.0, 0.0], [0.5, 0.4], [0.9, 0.6]]), torch.tensor([7, 7, 3]))
        tensor(0.5000)
    """

    temperature: Strength

    def __init__(
        self,
        *,
        include_query: bool = False,
        normalize: bool = True,
        temperature: Strength = 0.01,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        checked_temperature("SmoothAPLoss", temperature)
        check_smooth_ap_options("SmoothAPLoss", include_query, normalize, reduction)
        is_tensor = isinstance(temperature, Tensor)
        set_number(self, "temperature", temperature if is_tensor else as_float(temperature))
        self.include_query = include_query
        self.normalize = normalize
        self.reduction: Reduction = reduction

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        reference: Tensor | None = None,
        reference_labels: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Returns :func:`smooth_ap_loss` of these embeddings, with the module's options."""
        return smooth_ap_loss(
            embeddings,
            labels,
            reference=reference,
            reference_labels=reference_labels,
            include_query=self.include_query,
            normalize=self.normalize,
            mask=mask,
            temperature=self.temperature,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        return (
            f"include_query={self.include_query!r}, normalize={self.normalize!r}, "
            f"reduction={self.reduction!r}, {describe_number('temperature', self.temperature)}"
        )
