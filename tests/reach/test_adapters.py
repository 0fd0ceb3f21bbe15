"""Ranking losses in the training of sentence-transformers and pytorch-metric-learning."""

import functools
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import rank_relax
from rank_relax.adapters import CrossEncoderLoss, metric_learning_loss

QUERIES = ["a cat", "rain", "two"]
DOCUMENTS = [["cats", "a dog and a cat", "no"], ["wet"], ["one", "two two"]]
LABELS = [torch.tensor([2, 1, 0]), torch.tensor([1]), torch.tensor([0, 1])]


class Lengths(nn.Module):
    """Of a CrossEncoder what a loss asks of it: scores pairs by their lengths."""

    num_labels = 1
    device = torch.device("cpu")

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.3, 0.02]))
        self.batches: list[int] = []

    def preprocess(self, pairs: list[tuple[str, str]], prompt: Any, task: Any) -> dict[str, Any]:
        self.batches.append(len(pairs))
        lengths = torch.tensor([[float(len(text)) for text in pair] for pair in pairs])
        return {"lengths": lengths, "modality": "text"}

    def forward(self, tokens: dict[str, Any]) -> dict[str, Tensor]:
        return {"scores": (tokens["lengths"] * self.weight).sum(-1, keepdim=True)}


def one_by_one(model: Lengths, function: Any) -> Tensor:
    """The mean over queries of each one's loss, but for the one whose labels are equal."""
    losses = []
    for query, documents, labels in zip(QUERIES, DOCUMENTS, LABELS, strict=True):
        tokens = model.preprocess([(query, document) for document in documents], None, None)
        if len(labels) > 1:
            losses.append(function(model(tokens)["scores"].view(-1), labels))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("size", [None, 1, 4])
def test_a_query_with_its_documents_is_a_list(size: int | None) -> None:
    model = Lengths()
    loss = CrossEncoderLoss(model, rank_relax.KendallLoss(), mini_batch_size=size)
    actual = loss([QUERIES, DOCUMENTS], LABELS)
    assert model.batches == {None: [6], 1: [1] * 6, 4: [4, 2]}[size]
    expected = one_by_one(model, rank_relax.kendall_loss)
    torch.testing.assert_close(actual, expected)
    slopes = [torch.autograd.grad(x, model.weight)[0] for x in (actual, expected)]
    torch.testing.assert_close(*slopes)


def test_scores_may_have_an_activation_and_a_card_says_what_the_loss_is() -> None:
    model = Lengths()
    loss = CrossEncoderLoss(model, rank_relax.KendallLoss(variant="a"), nn.Sigmoid())
    expected = one_by_one(model, lambda s, y: rank_relax.kendall_loss(s.sigmoid(), y, variant="a"))
    torch.testing.assert_close(loss([QUERIES, DOCUMENTS], LABELS), expected)
    assert "variant='a'" in loss.get_config_dict()["loss"]
    assert loss.get_config_dict()["activation_fn"] == "Sigmoid()"


@pytest.mark.parametrize(
    ("inputs", "labels", "kind", "message"),
    [
        ([QUERIES, DOCUMENTS], torch.ones(3), TypeError, "labels must be a list of tensors, one l"),
        (
            [QUERIES, DOCUMENTS, QUERIES],
            LABELS,
            ValueError,
            r"inputs must be \(queries, .* got 3 c",
        ),
        (
            [QUERIES, DOCUMENTS],
            LABELS[:2],
            ValueError,
            r"labels must be one .* \[3, 1, 2\] .* \[3, 1",
        ),
        ([["a"], [[]]], [torch.ones(0)], ValueError, "documents must not be empty for all queries"),
    ],
)
def test_errors_come_before_the_model_is_asked(
    inputs: Any, labels: Any, kind: type[Exception], message: str
) -> None:
    model = Lengths()
    with pytest.raises(kind, match=f"^CrossEncoderLoss: {message}"):
        CrossEncoderLoss(model, rank_relax.ndcg_loss)(inputs, labels)
    assert model.batches == []


def test_models_of_more_output_labels_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^CrossEncoderLoss: model must have 1 output label, got 3"
    ):
        CrossEncoderLoss(SimpleNamespace(num_labels=3), rank_relax.ndcg_loss)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what the libraries say to themselves
def test_a_cross_encoder_learns(tmp_path: Path) -> None:
    reason = "sentence-transformers is not installed"
    cross_encoder = pytest.importorskip("sentence_transformers.cross_encoder", reason=reason)
    transformers = pytest.importorskip("transformers", reason=reason)
    texts = [*QUERIES, *itertools.chain(*DOCUMENTS)]
    words = sorted({word for text in texts for word in text.split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary))
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    model = cross_encoder.CrossEncoder(str(tmp_path), device="cpu", local_files_only=True)
    loss = CrossEncoderLoss(model, rank_relax.NDCGLoss(temperature=1.0), mini_batch_size=4)
    model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(loss([QUERIES, DOCUMENTS], LABELS))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    for query, documents, labels in zip(QUERIES, DOCUMENTS, LABELS, strict=True):
        scores = model.predict([(query, document) for document in documents])
        assert scores.argmax() == labels.argmax()


def smooth_ap(similarity: Tensor, relevant: Tensor, counts: Tensor) -> Tensor:
    """The mean over queries with a relevant item, each by its definition."""
    losses = []
    for s, r, c in zip(similarity, relevant, counts, strict=True):
        s, r = s[c], r[c]
        if not r.any():
            continue
        above = torch.sigmoid((s[None, :] - s[:, None]) / 0.1) * (1 - torch.eye(len(s)))
        found, looked_at = 1 + (above * r).sum(1), 1 + above.sum(1)
        losses.append(1 - (found / looked_at)[r].mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("with_references", [False, True], ids=["", "references"])
def test_an_embedding_is_a_query_for_its_class(with_references: bool) -> None:
    pytest.importorskip("pytorch_metric_learning", reason="pytorch-metric-learning is missing")
    embeddings = torch.randn(9, 4, requires_grad=True)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 0, 1, 3])  # one alone in its class
    others, of_others, counts = embeddings, labels, ~torch.eye(9, dtype=torch.bool)
    given = {}
    if with_references:
        others, of_others = torch.randn(7, 4), torch.tensor([0, 1, 2, 2, 0, 4, 1])
        counts = torch.ones(9, 7, dtype=torch.bool)
        given = {"ref_emb": others, "ref_labels": of_others}
    loss = metric_learning_loss(
        functools.partial(rank_relax.average_precision_loss, temperature=0.1)
    )
    actual = loss(embeddings, labels, **given)
    normalize = nn.functional.normalize
    similarity = normalize(embeddings) @ normalize(others).T
    expected = smooth_ap(similarity, labels[:, None] == of_others[None, :], counts)
    torch.testing.assert_close(actual, expected)
    slopes = [torch.autograd.grad(x, embeddings)[0] for x in (actual, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-5)


def test_metric_learning_takes_distances_and_refuses_miners() -> None:
    reason = "pytorch-metric-learning is missing"
    distances = pytest.importorskip("pytorch_metric_learning.distances", reason=reason)
    embeddings, labels = torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    near = metric_learning_loss(
        rank_relax.average_precision_loss,
        distance=distances.LpDistance(normalize_embeddings=False, power=2),
    )
    close_pairs = embeddings[::2].repeat_interleave(2, 0) + 0.01 * torch.randn(6, 3)
    assert near(close_pairs, labels) < 0.01
    with pytest.raises(ValueError, match=r"^metric_learning_loss: indices_tuple must be None"):
        near(embeddings, labels, (labels, labels, labels))
    alone = embeddings.clone().requires_grad_()
    near(alone, torch.arange(6)).backward()
    assert alone.grad is not None
    assert (alone.grad == 0).all()
