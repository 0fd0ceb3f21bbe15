"""The ranking losses and metrics of other libraries agree: values, and gradients where there are.

Sums of float64 are compared up to roundings. Where a library has another definition, the inputs are
those of which both say the same, and a line says which. Tests import what they compare with: it is
dear, and other tests of the process do better without it.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor, nn

import rank_relax

SIZES = [7, 4, 9]  # of lists one behind the other
OFFSETS = torch.tensor([0, 7, 11, 20])
SHARP = 1e-3  # sigmoids of scores that are whole numbers, and apart, are 0 or 1 in float64


def assert_equal(actual: Any, expected: Any, rtol: float = 1e-9) -> None:
    actual, expected = (
        x.detach() if isinstance(x, Tensor) else torch.tensor(np.asarray(x))
        for x in (actual, expected)
    )
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=rtol / 100, check_dtype=False)


def gradient(loss: Tensor, scores: Tensor) -> Tensor:
    return torch.autograd.grad(loss, scores)[0]


def distinct(*shape: int) -> Tensor:
    """Lists of 0, 1, ... in random order."""
    return torch.rand(shape, dtype=torch.float64).argsort(-1).double()


def tied(levels: int, *shape: int) -> Tensor:
    return torch.randint(levels, shape).double()


def scores(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def weights(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64) + 0.1


@pytest.fixture
def in_float64(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Libraries of torch code that turn what they are given into float32 compute in float64."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def jax_in_float64() -> Iterator[None]:
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


# scikit-learn: the limits of the losses. Its NDCG and average precision treat equal scores in other
# ways (a mean over their orders, one threshold), so there scores are distinct; labels never are.


@pytest.mark.parametrize("k", [None, 1, 3, 12, 40])
def test_sharp_ndcg_is_that_of_scikit_learn(k: int | None) -> None:
    import sklearn.metrics

    s, y, of_list = distinct(6, 12), tied(4, 6, 12), weights(6)
    losses = rank_relax.ndcg_loss(
        s, y, k=k, gain="linear", temperature=SHARP, reduction="none"
    )  # its gain
    expected = sklearn.metrics.ndcg_score(y, s, k=k, sample_weight=of_list)
    assert_equal(((1 - losses) * of_list).sum() / of_list.sum(), expected)
    gains = rank_relax.ndcg_loss(s, y, k=k, normalize=False, temperature=SHARP)
    assert_equal(-gains, sklearn.metrics.dcg_score(2**y - 1, s, k=k))


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_sharp_average_precision_is_that_of_scikit_learn(weighted: bool) -> None:
    import sklearn.metrics

    s, y, w = distinct(40), tied(2, 40), weights(40) if weighted else None
    loss = rank_relax.average_precision_loss(s, y, weights=w, temperature=SHARP)
    assert_equal(1 - loss, sklearn.metrics.average_precision_score(y, s, sample_weight=w))


def test_sharp_losses_of_many_lists_are_those_of_multilabel_ranking() -> None:
    import sklearn.metrics

    s, y, of_list = distinct(6, 12), tied(2, 6, 12), weights(6)
    y[:, :2] = torch.tensor([0, 1])  # a list without either is counted there, and left out here
    for loss, metric in (
        (rank_relax.average_precision_loss, sklearn.metrics.label_ranking_average_precision_score),
        (rank_relax.auc_loss, sklearn.metrics.label_ranking_loss),
    ):
        losses = loss(s, y, temperature=SHARP, reduction="none")
        actual = (losses * of_list).sum() / of_list.sum()
        expected = metric(y.numpy(), s.numpy(), sample_weight=of_list.numpy())
        assert_equal(actual, expected if loss is rank_relax.auc_loss else 1 - expected)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("levels", [7, 1000])
def test_sharp_auc_is_that_of_scikit_learn(levels: int, weighted: bool) -> None:
    import sklearn.metrics

    s, y, w = tied(levels, 60), tied(2, 60), weights(60) if weighted else None
    loss = rank_relax.auc_loss(s, y, weights=w, temperature=SHARP)
    assert_equal(1 - loss, sklearn.metrics.roc_auc_score(y, s, sample_weight=w))


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("fpr", [0.03, 0.25, 0.5, 1.0])
def test_sharp_partial_auc_is_that_of_scikit_learn(fpr: float, weighted: bool) -> None:
    import sklearn.metrics

    # Of a positive and a negative that are equal its curve has a slope, of which half would be
    # taken here at any rate: only scores of one side are equal.
    y = tied(2, 60)
    s, w = 2 * tied(9, 60) + y, weights(60) if weighted else None
    loss = rank_relax.partial_auc_loss(s, y, fpr=fpr, weights=w, temperature=SHARP)
    area = fpr * (1 - loss)
    at_random = fpr**2 / 2
    standardised = (1 + (area - at_random) / (fpr - at_random)) / 2  # McClish's, 1/2 at random
    if fpr == 1:
        standardised = area  # which it leaves as it is
    expected = sklearn.metrics.roc_auc_score(y, s, max_fpr=fpr, sample_weight=w)
    assert_equal(standardised, expected)


# SciPy.


@pytest.mark.parametrize("levels", [5, 1000])
def test_sharp_spearman_is_that_of_scipy(levels: int) -> None:
    s, y = tied(levels, 40), tied(levels, 40)
    expected = scipy.stats.spearmanr(s, y).statistic
    assert_equal(1 - rank_relax.spearman_loss(s, y, 1 / SHARP), expected)
    assert_equal(rank_relax.spearman_correlation(s, y), expected)


def untied(s: Tensor, w: Tensor) -> Tensor:
    """The share of all pairs, weighted, of which the scores are not equal."""
    pairs = torch.triu(w[:, None] * w, 1)
    return pairs[s[:, None] != s].sum() / pairs.sum()


@pytest.mark.parametrize("levels", [5, 1000])
def test_sharp_kendall_is_that_of_scipy(levels: int) -> None:
    s, y, one = tied(levels, 40), tied(4, 40), torch.ones(40, dtype=torch.float64)
    expected = scipy.stats.kendalltau(s, y).statistic
    # Its b leaves out pairs of equal scores too, which soft ones always are counted in.
    of_scores = untied(s, one).sqrt()
    assert_equal(1 - rank_relax.kendall_loss(s, y, temperature=SHARP), expected * of_scores)
    a = rank_relax.kendall_loss(s, y, variant="a", temperature=SHARP)
    assert_equal(1 - a, expected * of_scores * untied(y, one).sqrt())


@pytest.mark.parametrize("levels", [5, 1000])
def test_sharp_weighted_kendall_is_that_of_scipy(levels: int) -> None:
    s, y, w = tied(levels, 40), tied(4, 40), weights(40)
    expected = scipy.stats.weightedtau(
        s, y, rank=np.arange(40), weigher=lambda item: w[item], additive=False
    ).statistic
    loss = rank_relax.kendall_loss(s, y, weights=w, temperature=SHARP)
    assert_equal(1 - loss, expected * untied(s, w).sqrt())


# torchmetrics, which computes in float32.


@pytest.mark.parametrize("name", ["ndcg", "mrr", "average_precision", "auc", "kendall", "spearman"])
def test_sharp_losses_are_those_of_torchmetrics(name: str) -> None:
    from torchmetrics.functional import classification, regression, retrieval

    s, y = 1 + distinct(40), tied(2, 40).long()  # whose scores of 0 are of no relevant item
    graded, order = tied(4, 40).long(), distinct(40)
    sharp = {"temperature": SHARP}
    loss, metric = {
        "ndcg": (
            rank_relax.ndcg_loss(s, graded, k=5, gain="linear", **sharp),
            retrieval.retrieval_normalized_dcg(s, graded, top_k=5),
        ),
        "mrr": (rank_relax.mrr_loss(s, y, **sharp), retrieval.retrieval_reciprocal_rank(s, y)),
        "average_precision": (
            rank_relax.average_precision_loss(s, y, **sharp),
            retrieval.retrieval_average_precision(s, y),
        ),
        "auc": (rank_relax.auc_loss(s, y, **sharp), classification.binary_auroc(s / 41, y)),
        # Its a is of the pairs of which neither side is equal.
        "kendall": (
            rank_relax.kendall_loss(s, order, variant="a", **sharp),
            regression.kendall_rank_corrcoef(s, order, variant="a"),
        ),
        "spearman": (
            rank_relax.spearman_loss(s, graded.double(), 1 / SHARP),
            regression.spearman_corrcoef(s, graded.double()),
        ),
    }[name]
    assert_equal(1 - loss, metric, rtol=2e-6)


# numerai-tools.


@pytest.mark.parametrize("levels", [5, 1000])
def test_sharp_numerai_correlation_is_that_of_its_tools(levels: int) -> None:
    import pandas as pd
    from numerai_tools.scoring import numerai_corr

    s, y = tied(levels, 60), tied(5, 60) / 4
    loss = rank_relax.normal_scores_loss(s, y, variant="numerai", temperature=SHARP)
    expected = numerai_corr(pd.DataFrame({"of": s.numpy()}), pd.Series(y.numpy(), name="target"))
    assert_equal(1 - loss, expected["of"])


# scikit-survival.


def survival() -> tuple[Tensor, Tensor, np.ndarray]:
    """Times with ties, the last of which is an event's: of Uno's weights none is infinite."""
    times, events = 1 + tied(9, 60), torch.rand(60) < 0.6
    times[0], events[0] = 11, True
    fields = [("event", bool), ("time", float)]
    return times, events, np.array(list(zip(events.tolist(), times.tolist(), strict=True)), fields)


@pytest.mark.parametrize("levels", [5, 1000])
def test_sharp_concordance_is_that_of_scikit_survival(levels: int) -> None:
    from sksurv.metrics import concordance_index_censored, concordance_index_ipcw

    s = tied(levels, 60)
    times, events, both = survival()
    harrell = rank_relax.concordance_loss(s, times, events, temperature=SHARP)
    expected = concordance_index_censored(both["event"], both["time"], s.numpy())[0]
    assert_equal(1 - harrell, expected)
    uno = rank_relax.ipcw_weights(times, events)
    for tau in (None, 6.0):
        w = uno if tau is None else torch.where(times < tau, uno, 0)
        loss = rank_relax.concordance_loss(s, times, events, weights=w, temperature=SHARP)
        expected = concordance_index_ipcw(both, both, s.numpy(), tau=tau)[0]
        assert_equal(1 - loss, expected)


@pytest.mark.parametrize("ties", ["efron", "breslow"])
@pytest.mark.parametrize("levels", [6, 1000])
def test_listmle_is_the_partial_likelihood_of_scikit_survival(ties: Any, levels: int) -> None:
    from sksurv.linear_model.coxph import CoxPHOptimizer

    s, y = scores(30), tied(levels, 30)
    event = np.ones(30, bool)
    cox = CoxPHOptimizer(np.eye(30), event, -y.numpy(), np.zeros(30), ties)  # a feature for each
    cox.update(s.detach().numpy())
    loss = rank_relax.listmle_loss(s, y, ties=ties)
    assert_equal(loss, 30 * cox.nlog_likelihood(s.detach().numpy()))  # its mean over items
    assert_equal(gradient(loss, s), 30 * cox.gradient)


# Rax: soft losses, with masks, and with weights where they mean what ours do.


OURS: dict[str, Callable[..., Tensor]] = {
    "softmax": functools.partial(rank_relax.listnet_loss, shares="proportional"),
    "ndcg": functools.partial(rank_relax.ndcg_loss, temperature=0.3),
    "dcg": functools.partial(rank_relax.ndcg_loss, temperature=0.3, normalize=False),
    "mrr": functools.partial(rank_relax.mrr_loss, temperature=0.3),
    "listmle": rank_relax.listmle_loss,
    "pairwise": rank_relax.pairwise_logistic_loss,
    "auc": rank_relax.auc_loss,
    "kendall": rank_relax.kendall_loss,
    "lambdarank": rank_relax.lambda_loss,
    "ndcg2": functools.partial(rank_relax.lambda_loss, scheme="ndcg2", k=12),
}
# Of equal labels ListMLE has the given order there, and τ is a mean over the other pairs alone.
DISTINCT, BINARY, WITH_WEIGHTS = ("listmle", "kendall"), ("auc",), ("softmax", "ndcg", "dcg")


def losses_of_rax() -> dict[str, Callable[..., Any]]:
    import jax
    import rax

    rank_fn = functools.partial(rax.utils.approx_ranks, step_fn=lambda d: jax.nn.sigmoid(d / 0.3))

    def metric(metric: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(metric, rank_fn=rank_fn)

    def of_pairs(weight: Callable[..., Any]) -> Callable[..., Any]:
        of_pair = functools.partial(weight, normalize=True)
        pairs = functools.partial(
            rax.pairwise_logistic_loss, lambdaweight_fn=of_pair, reduce_fn=jax.numpy.sum
        )
        return lambda s, y, where: pairs(s, y, where=where) / len(s)  # its weights have that factor

    return {
        "softmax": functools.partial(rax.softmax_loss, label_fn=rax.utils.normalize_probabilities),
        "ndcg": lambda *lists, **others: 1 - metric(rax.ndcg_metric)(*lists, **others),
        "dcg": lambda *lists, **others: -metric(rax.dcg_metric)(*lists, **others),
        "mrr": lambda *lists, **others: 1 - metric(rax.mrr_metric)(*lists, **others),
        "listmle": rax.listmle_loss,
        "pairwise": rax.pairwise_logistic_loss,
        "auc": rax.pairwise_soft_zero_one_loss,
        "kendall": lambda s, y, where: 2 * rax.pairwise_soft_zero_one_loss(s, y, where=where),
        "lambdarank": of_pairs(rax.dcg_lambdaweight),
        "ndcg2": of_pairs(rax.dcg2_lambdaweight),
    }


@pytest.mark.usefixtures("jax_in_float64")
@pytest.mark.parametrize("name", OURS)
def test_losses_are_those_of_rax(name: str) -> None:
    import jax

    s = scores(5, 12)
    y = distinct(5, 12) if name in DISTINCT else tied(2 if name in BINARY else 4, 5, 12)
    mask = torch.rand(5, 12) < 0.7
    mask[:, :2] = True
    if name not in DISTINCT:
        y[:, :2] = torch.tensor([1, 0])  # no list is left out
    others = {"weights": weights(5, 12)} if name in WITH_WEIGHTS else {}
    ours = OURS[name](s, y, mask=mask, reduction="none", **others)
    of_rax = losses_of_rax()[name]
    given = [s.detach(), y, {"where": mask, **others}]
    loss = jax.value_and_grad(lambda s, y, others: of_rax(s, y, **others))
    theirs, slope = jax.jit(jax.vmap(loss))(*jax.tree.map(lambda x: x.numpy(), given))
    assert_equal(ours, theirs)
    assert_equal(gradient(ours.sum(), s), slope)


# pytorch-metric-learning.


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("temperature", [0.01, 0.3])
def test_smooth_ap_is_that_of_pytorch_metric_learning(temperature: float) -> None:
    from pytorch_metric_learning.losses import SmoothAPLoss

    # It has a query in its own list, needs classes of one size, one behind the other, and takes
    # the number of classes for that size: here they are the same.
    embeddings, labels = scores(16, 5), torch.arange(4).repeat_interleave(4)
    theirs = SmoothAPLoss(temperature=temperature)(embeddings, labels)
    ours = rank_relax.smooth_ap_loss(
        embeddings, labels, include_query=True, temperature=temperature
    )
    assert_equal(ours, theirs)
    assert_equal(gradient(ours, embeddings), gradient(theirs, embeddings))


# LightGBM.


@pytest.mark.parametrize("k", [4, 30])
def test_lambda_loss_has_the_derivatives_of_lightgbm(k: int) -> None:
    import lightgbm

    s, y = scores(20), tied(4, 20)
    loss = rank_relax.lambda_loss(s, y, k=k, offsets=OFFSETS, temperature=0.5, reduction="sum")
    (slope,) = torch.autograd.grad(loss, s, create_graph=True)
    each = torch.eye(20, dtype=torch.float64)
    curvature = torch.autograd.grad(slope, s, each, is_grads_batched=True)[0].diagonal()
    settings = {
        "objective": "lambdarank",
        "lambdarank_norm": False,
        "lambdarank_truncation_level": k,
        "sigmoid": 2.0,
        "learning_rate": 1.0,
        "num_leaves": 2,
        "min_data_in_leaf": 1,
        "min_data_in_bin": 1,
        "min_sum_hessian_in_leaf": 0.0,
        "num_threads": 1,
        "verbose": -1,
    }
    # A tree that tells one item from the others has minus its gradient over its Hessian and the
    # penalty for it: two penalties, two unknowns.
    for penalty in (1.0, 0.1):
        settings["lambda_l2"] = penalty * float(curvature.mean())
        expected = (-slope / (curvature + settings["lambda_l2"])).detach()
        found = 0
        for item in range(20):
            data = lightgbm.Dataset(
                each[:, [item]].numpy(), y.numpy(), group=SIZES, init_score=s.detach().numpy()
            )
            tree = lightgbm.train(settings, data, 1)
            if tree.dump_model()["tree_info"][0]["num_leaves"] == 2:
                # It looks sigmoids up in a table, and keeps derivatives in float32.
                error = tree.predict([[1.0]])[0] - expected[item]
                assert abs(error) < 1e-4 * expected.abs().max()
                found += 1
        assert found > 10  # it makes no leaf for an item of little curvature


# sentence-transformers: losses of a model's scores.


class Scores(nn.Module):
    """Of a CrossEncoder what a loss asks of it, with scores that are given."""

    num_labels = 1
    device = torch.device("cpu")

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def preprocess(self, pairs: Any, prompt: Any, task: Any) -> dict[str, Any]:
        return {}

    def forward(self, tokens: Any) -> dict[str, Tensor]:
        return {"scores": self.scores}


def of_cross_encoder(kind: Any, s: Tensor, y: Tensor, **options: Any) -> Tensor:
    loss = kind(Scores(s), mini_batch_size=-1, **options)
    documents = [["a document"] * size for size in SIZES]
    actual: Tensor = loss([["a query"] * len(SIZES), documents], list(y.split(SIZES)))
    return actual


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg2", "ndcg2++"])
@pytest.mark.parametrize("k", [None, 1, 3])
def test_lambda_losses_are_those_of_sentence_transformers(scheme: Any, k: int | None) -> None:
    from sentence_transformers.cross_encoder import losses as cross_encoder

    weighting = {
        "lambdarank": cross_encoder.LambdaRankScheme(),
        "ndcg2": cross_encoder.NDCGLoss2Scheme(),
        "ndcg2++": cross_encoder.NDCGLoss2PPScheme(mu=5.0),
    }[scheme]
    s, y = scores(20), tied(4, 20)
    options = {"k": k, "sigma": 2.0, "reduction_log": "natural"}
    theirs = of_cross_encoder(cross_encoder.LambdaLoss, s, y, weighting_scheme=weighting, **options)
    pairs = 0  # of which it is the mean
    for s_list, y_list in zip(s.split(SIZES), y.split(SIZES), strict=True):
        ranked = y_list[s_list.argsort(descending=True)]
        ordered = ranked[:, None] != ranked
        ordered[k or len(ranked) :, k or len(ranked) :] = False
        pairs += int(ordered.sum()) // 2
    if k is None and scheme != "lambdarank":
        k = max(SIZES)
    ours = rank_relax.lambda_loss(
        s, y, scheme=scheme, k=k, mu=5.0, offsets=OFFSETS, temperature=0.5, reduction="sum"
    )
    assert_equal(ours, theirs * pairs)
    assert_equal(gradient(ours, s), gradient(theirs * pairs, s))


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("name", ["RankNet", "ListNet", "ListMLE", "PListMLE", "ADRMSE", "CoSENT"])
def test_losses_are_those_of_sentence_transformers(name: str) -> None:
    from sentence_transformers.cross_encoder import losses as cross_encoder
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    s, y = scores(20), tied(4, 20)
    if name == "RankNet":
        loss = cross_encoder.RankNetLoss
        theirs = of_cross_encoder(loss, s, y, sigma=2.0, reduction_log="natural")
        ours = rank_relax.pairwise_logistic_loss(
            s, y, normalize="pairs", offsets=OFFSETS, temperature=0.5
        )
    elif name == "ListNet":
        theirs = of_cross_encoder(cross_encoder.ListNetLoss, s, y)
        ours = rank_relax.listnet_loss(s, y, offsets=OFFSETS)
    elif name in ("ListMLE", "PListMLE"):
        # Where labels are equal it takes the order in which they happen to be sorted.
        y = torch.cat([distinct(size) for size in SIZES])
        loss = getattr(cross_encoder, f"{name}Loss")
        theirs = of_cross_encoder(loss, s, y, respect_input_order=False)
        position_weights: Any = "exp2" if name == "PListMLE" else "uniform"
        ours = rank_relax.listmle_loss(s, y, position_weights=position_weights, offsets=OFFSETS)
    elif name == "ADRMSE":
        theirs = of_cross_encoder(cross_encoder.ADRMSELoss, s, y, alpha=2.0)
        of_list = rank_relax.adr_mse_loss(s, y, offsets=OFFSETS, temperature=0.5, reduction="none")
        ours = (of_list * torch.tensor(SIZES)).sum() / 20  # its mean over items
    else:
        cosent = CoSENTLoss(nn.Identity(), scale=20.0, similarity_fct=lambda a, b: a)
        theirs = cosent.compute_loss_from_embeddings([s, s], y)
        ours = rank_relax.cosent_loss(s, y)
    # A sum of p-ListMLE's weights has 1e-10 added.
    assert_equal(ours, theirs, rtol=1e-8)
    assert_equal(gradient(ours, s), gradient(theirs, s), rtol=1e-8)
