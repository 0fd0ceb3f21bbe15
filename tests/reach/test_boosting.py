"""Gradient boosting: what an objective says of scores, and how LightGBM and XGBoost ask for it."""

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import rank_relax
from rank_relax.boosting import LOSSES, objective

Array = Any  # of numpy
Options = dict[str, Any]

SIZES = np.array([5, 1, 0, 9, 4], dtype=np.int32)
N = int(SIZES.sum())
LISTS = [(int(end - size), int(end)) for size, end in zip(SIZES, SIZES.cumsum(), strict=True)]
FLOOR = 1e-16

# The Hessian is the sizes of the forces along pairs over the temperature, or a bound of them.
FORCES: list[tuple[str, Options]] = [
    ("ndcg", {}),
    ("ndcg", {"k": 3, "temperature": 1.0}),
    ("ndcg", {"gain": "linear", "normalize": False, "temperature": 0.7}),
    ("mrr", {"temperature": 0.4}),
    ("mrr", {"relevant": "all", "temperature": 0.4}),
    ("average_precision", {"temperature": 0.3}),
    ("auc", {"temperature": 0.6}),
    ("kendall", {"temperature": 0.5}),
    ("kendall", {"variant": "a"}),
    ("cosent", {"temperature": 0.5}),
]
# It is the diagonal of the loss's own.
CONVEX: list[tuple[str, Options]] = [
    ("pairwise_logistic", {}),
    ("pairwise_logistic", {"normalize": "sum", "temperature": 0.5}),
    ("auc", {"surrogate": "logistic"}),
    ("auc", {"surrogate": "squared", "temperature": 2.0}),
    ("auc", {"surrogate": "squared_hinge", "margin": 0.3}),
    ("listnet", {"temperature": 0.8}),
    ("listnet", {"shares": "proportional"}),
]


def name_of(case: Any) -> str:
    return case if isinstance(case, str) else ",".join(f"{k}={v}" for k, v in case.items())


def cases(*which: tuple[str, Options]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "options"), which, ids=name_of)


weighted_or_not = pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])


def arrays(seed: int, weighted: bool = False) -> tuple[Array, Array, Array | None]:
    random = np.random.default_rng(seed)
    weights = random.uniform(0.2, 2, N) if weighted else None
    return random.integers(0, 4, N).astype(float), random.normal(size=N), weights


def differences(function: Callable[[Array], Array], scores: Array, step: float = 1e-5) -> Array:
    """By how much a function of rows of n scores changes with one of them in each row."""
    steps = step * np.eye(len(scores))
    return (function(scores + steps) - function(scores - steps)) / (2 * step)


def test_every_objective_is_a_loss() -> None:
    names = {name.removesuffix("_loss") for name in rank_relax.losses.__all__ if "_loss" in name}
    assert names > set(LOSSES)


@cases(*FORCES, *CONVEX)
@weighted_or_not
def test_the_gradient_is_the_difference_of_the_losses(
    name: str, options: Options, weighted: bool
) -> None:
    labels, scores, weights = arrays(1, weighted)
    loss = LOSSES[name](**options, reduction="none")
    gradient, _ = objective(name, **options)(labels, scores, weights, SIZES)
    assert gradient.dtype == scores.dtype
    for i, j in LISTS:

        def losses(rows: Array, own: slice = slice(i, j)) -> Array:
            scores = torch.tensor(rows)
            y = torch.tensor(labels[own]).expand_as(scores)
            w = None if weights is None else torch.tensor(weights[own]).expand_as(scores)
            return loss(scores, y, weights=w).numpy()

        expected = differences(losses, scores[i:j])
        np.testing.assert_allclose(gradient[i:j], expected, rtol=1e-5, atol=1e-8)


@cases(*CONVEX)
@weighted_or_not
def test_the_hessian_of_a_convex_loss_is_the_difference_of_its_gradient(
    name: str, options: Options, weighted: bool
) -> None:
    labels, scores, weights = arrays(2, weighted)
    loss = objective(name, **options)
    _, hessian = loss(labels, scores, weights, SIZES)

    def own_slopes(rows: Array) -> Array:
        each = enumerate(rows)
        return np.array([loss(labels, row, weights, SIZES)[0][item] for item, row in each])

    expected = differences(own_slopes, scores)
    np.testing.assert_allclose(hessian, np.maximum(expected, FLOOR), rtol=1e-6, atol=1e-9)


def slopes(name: str, options: Options, y: Array, above: Array, w: Array) -> Array:
    """The slope of one list's loss in F((s_j - s_i) / T), [i, j], by its definition."""
    positive, place = y > 0, 1 + above.sum(1)
    slope = np.zeros_like(above)
    if name == "ndcg":
        gain = w * (y if options.get("gain") == "linear" else 2**y - 1)
        k = options.get("k", len(y))
        taken = np.sort(gain)[::-1][:k]
        best = (taken / np.log2(2 + np.arange(len(taken)))).sum()
        inside = np.clip(k + 1 - place, 0, 1)
        each = gain * inside / np.log2(1 + place) ** 2 / (1 + place) / np.log(2)
        each += gain / np.log2(1 + place) * ((inside > 0) & (inside < 1)) * ("k" in options)
        slope += (each / (1 if "normalize" in options else best))[:, None]
    elif name == "mrr" and "relevant" in options:
        slope += (w * y / (w * y).sum() / place**2)[:, None]
    elif name == "mrr":
        first = np.where(y > 0, place, np.inf).argmin()
        slope[first] = 1 / place[first] ** 2
    elif name == "average_precision":
        found, looked_at = w + above @ (w * positive), w + above @ w
        share = w * positive / (w * positive).sum()
        slope += np.outer(share * found / looked_at**2, w)
        slope -= np.outer(share / looked_at, w * positive)
    elif name == "auc":
        slope += np.outer(w * positive, w * ~positive)
        slope /= slope.sum()
    else:  # "kendall"
        ordered = np.outer(w, w) * (y[:, None] > y[None, :])
        every = (w.sum() ** 2 - (w**2).sum()) / 2
        of_all = every if "variant" in options else np.sqrt(every * ordered.sum())
        slope += 2 * ordered / of_all
    return slope


def sizes_of_forces(
    name: str, options: Options, y: Array, s: Array, w: Array
) -> tuple[Array, Array]:
    """Σ_j |f_kj| of one list, and what the objective takes, which is no less."""
    temperature = options["temperature"]
    d = (s[None, :] - s[:, None]) / temperature
    if name == "cosent":
        pairs = np.outer(w, w) * (y[:, None] > y[None, :]) * np.exp(d)
        sizes = (pairs + pairs.T).sum(1) / (1 + pairs.sum()) / temperature
        return sizes, sizes
    above = 1 / (1 + np.exp(-d)) * (1 - np.eye(len(s)))
    density = above * (1 - above) / temperature
    slope = slopes(name, options, y, above, w)
    exact = abs(slope - slope.T) * density
    is_bounded = np.zeros_like(exact, dtype=bool)  # the pairs whose sizes are not added exactly
    if name in ("ndcg", "mrr"):
        is_bounded[:], w = True, np.ones_like(w)
    elif name == "average_precision":
        is_bounded = np.logical_and.outer(y > 0, y > 0)
    density = density * is_bounded
    added = ((abs(slope) + abs(slope.T)) * density).sum(1)
    pairs = np.outer(w, w)
    root = np.sqrt((pairs * density).sum(1) * ((slope - slope.T) ** 2 / pairs * density).sum(1))
    return exact.sum(1), (exact * ~is_bounded).sum(1) + np.minimum(added, root)


@cases(*FORCES)
@weighted_or_not
def test_other_hessians_are_the_sizes_of_the_forces_over_the_temperature(
    name: str, options: Options, weighted: bool
) -> None:
    labels, scores, weights = arrays(3, weighted)
    temperature = LOSSES[name](**options).temperature
    gradient, hessian = objective(name, **options)(labels, scores, weights, SIZES)
    assert (abs(gradient) <= temperature * hessian * (1 + 1e-9)).all()  # no step is longer
    weights = np.ones(N) if weights is None else weights
    for i, j in LISTS:
        y, s, w = labels[i:j], scores[i:j], weights[i:j]
        if j - i < 2:
            assert (hessian[i:j] == FLOOR).all()
            continue
        given = {**options, "temperature": temperature}
        exact, taken = (x / temperature for x in sizes_of_forces(name, given, y, s, w))
        np.testing.assert_allclose(hessian[i:j], taken, rtol=1e-9, atol=1e-12)
        assert (hessian[i:j] >= exact * (1 - 1e-9)).all()


@cases(*FORCES)
def test_no_step_is_longer_than_the_temperature_where_forces_are_but_roundings(
    name: str, options: Options
) -> None:
    random = np.random.default_rng(13)
    labels = random.integers(0, 5, 2000).astype(np.float32)
    scores = (4 * random.normal(size=2000)).astype(np.float32)
    gradient, hessian = objective(name, **options)(labels, scores, None, np.array([100] * 20))
    temperature = LOSSES[name](**options).temperature
    assert (abs(gradient) <= temperature * hessian * (1 + 1e-6)).all()


@cases(*FORCES, *CONVEX)
def test_lists_without_a_loss_have_no_gradient_and_the_least_hessian(
    name: str, options: Options
) -> None:
    labels, scores, _ = arrays(4)
    labels[:5] = 0
    gradient, hessian = objective(name, **options)(labels, scores, None, SIZES)
    if (name, options) == CONVEX[-2]:  # the softmax of equal labels is a target too
        assert (hessian[:5] > FLOOR).all()
        return
    assert (gradient[:6] == 0).all()
    assert (hessian[:6] == FLOOR).all()
    assert (gradient[6:] != 0).any()


def test_a_list_may_be_long_and_its_labels_real_numbers() -> None:
    random, n = np.random.default_rng(5), 100_000
    labels, scores = random.normal(size=n), random.normal(size=n)
    gradient, hessian = objective("pairwise_logistic")(labels, scores, None, np.array([n]))
    pairs = n * (n - 1) / 2
    for item in range(0, n, 7919):
        better = labels > labels[item]
        wrong = 1 / (1 + np.exp(np.where(better, 1, -1) * (scores - scores[item])))
        wrong[item] = 0
        expected = np.where(better, wrong, -wrong).sum() / pairs
        assert gradient[item] == pytest.approx(expected, rel=1e-9)
        assert hessian[item] == pytest.approx((wrong * (1 - wrong)).sum() / pairs, rel=1e-9)


def data_set(labels: Array, weights: Array, group: Array) -> Any:
    """A Dataset of LightGBM or a DMatrix of XGBoost, as far as objectives ask them."""
    return SimpleNamespace(
        get_label=lambda: labels.astype(np.float32),
        get_weight=lambda: weights,
        get_group=lambda: group,
    )


def test_all_ways_of_the_libraries_have_one_answer() -> None:
    labels, scores, weights = arrays(6, weighted=True)
    loss = objective("ndcg", k=4)
    expected = loss(labels, scores, weights, SIZES)
    without = loss(labels, scores, None, SIZES)
    one_list = loss(labels, scores, None, np.array([N]))
    # LightGBM's estimators count the parameters, and XGBoost's look for one of this name.
    assert len(inspect.signature(loss).parameters) == 4
    assert "sample_weight" in inspect.signature(loss).parameters
    nothing = np.empty(0, dtype=np.float32)  # as XGBoost says that there are none
    unsigned = SIZES.astype(np.uint32)
    for actual, right in (
        (loss(scores, data_set(labels, weights, SIZES)), expected),
        (loss(scores, data_set(labels, None, SIZES)), without),
        (loss(scores, data_set(labels, nothing, unsigned)), without),
        (loss(scores, data_set(labels, None, None)), one_list),
        (loss(scores, data_set(labels, nothing, nothing)), one_list),
        (loss(labels, scores), one_list),
        (loss(labels, scores, sample_weight=np.ones(N)), one_list),
    ):
        np.testing.assert_allclose(actual, right, rtol=1e-6, atol=1e-12)


def test_one_weight_a_list_multiplies_what_its_rows_have() -> None:
    labels, scores, _ = arrays(7)
    loss, of_list = objective("kendall"), np.array([2.0, 1.0, 1.0, 0.5, 3.0])
    plain, actual = loss(labels, scores, None, SIZES), loss(labels, scores, of_list, SIZES)
    factor = of_list.repeat(SIZES)
    np.testing.assert_allclose(actual[0], plain[0] * factor)
    np.testing.assert_allclose(actual[1], np.maximum(plain[1] * factor, FLOOR))


def test_the_scale_multiplies_both() -> None:
    labels, scores, _ = arrays(8)
    plain = objective("listnet")(labels, scores, None, SIZES)
    scaled = objective("listnet", scale=50)(labels, scores, None, SIZES)
    np.testing.assert_allclose(scaled[0], 50 * plain[0])
    np.testing.assert_allclose(scaled[1], 50 * plain[1], atol=1e-14)  # but for the least


def test_derivatives_have_the_dtype_of_scores_which_are_only_read() -> None:
    labels, scores, _ = arrays(9)
    expected = objective("pairwise_logistic")(labels, scores, None, SIZES)
    single, before = scores.astype(np.float32), labels.copy()
    for array in (labels, single):
        array.flags.writeable = False
    with torch.inference_mode():
        actual = objective("pairwise_logistic")(labels, single, None, SIZES)
    assert {array.dtype for array in actual} == {np.dtype(np.float32)}
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)
    assert (labels == before).all()


def test_objectives_are_copied_and_pickled() -> None:
    labels, scores, _ = arrays(10)
    loss = objective("ndcg", k=2, temperature=0.5)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert repr(other) == repr(loss)
        np.testing.assert_array_equal(other(labels, scores), loss(labels, scores))
    assert "k=2" in repr(loss)


def test_no_library_of_trees_is_imported() -> None:
    libraries = {"lightgbm", "xgboost", "sentence_transformers", "pytorch_metric_learning"}
    code = "import sys, rank_relax.boosting, rank_relax.adapters; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert "rank_relax.boosting" in run.stdout.split()
    assert libraries.isdisjoint(run.stdout.split())


def test_a_gradient_that_is_0_everywhere_is_warned_of() -> None:
    labels, scores = np.arange(30.0), np.zeros(30)
    with pytest.warns(
        UserWarning, match=r"^objective: the gradient is 0 for all rows.*leave k out"
    ):
        objective("ndcg", k=10)(labels, scores)
    objective("ndcg")(labels, scores)


ERRORS: list[tuple[Callable[[Array, Array], object], type[Exception], str]] = [
    (lambda y, s: objective("map"), ValueError, "name must be one of 'ndcg', 'mrr', .* got 'map'"),
    (lambda y, s: objective("mrr", k=3), TypeError, "'mrr' has no option 'k'; it has relevant, te"),
    (lambda y, s: objective("mrr", reduction="sum"), TypeError, "'mrr' has no option 'reduction'"),
    (
        lambda y, s: objective("mrr", temperature=torch.tensor(1.0)),
        TypeError,
        r"temperature must be a float, got a tensor, .*; use temperature.item\(\)",
    ),
    (lambda y, s: objective("mrr", scale="1"), TypeError, "scale must be a number, got '1'"),
    (
        lambda y, s: objective("mrr", scale=0),
        ValueError,
        "scale must be positive and finite, got 0",
    ),
    (
        lambda y, s: objective("mrr")(y.tolist(), s),
        TypeError,
        r"y_true must be an array of numpy, got list; convert it with numpy.asarray\(y_true\)",
    ),
    (lambda y, s: objective("mrr")(y, s > 0), TypeError, "y_pred must be floating, got bool; conv"),
    (lambda y, s: objective("mrr")(y, s[:, None]), ValueError, r"y_pred must be \[n\].* \[19, 1\]"),
    (lambda y, s: objective("mrr")(y[1:], s), ValueError, "y_true has 18 labels for 19 scores in"),
    (
        lambda y, s: objective("mrr")(y, s / 0),
        ValueError,
        "y_pred must be finite, .* lower the lea",
    ),
    (
        lambda y, s: objective("mrr")(y + np.nan, s),
        ValueError,
        "y_true must be finite, but has NaN",
    ),
    (
        lambda y, s: objective("mrr")(y, s, None, SIZES[1:]),
        ValueError,
        "group must be the sizes of the lists, .* to the 19 rows, got 4 that add up to 14;",
    ),
    (
        lambda y, s: objective("mrr")(y, s, None, np.array([20, -1])),
        ValueError,
        "group must be the sizes of the lists, .* 2 that add up to 19, -1 among them",
    ),
    (
        lambda y, s: objective("mrr")(y, s, None, SIZES / 2),
        TypeError,
        "group must be integers, got",
    ),
    (
        lambda y, s: objective("mrr")(y, s, s[:7], SIZES),
        ValueError,
        "sample_weight must have one weight for each of 19 rows or of 5 lists, got 7",
    ),
    (
        lambda y, s: objective("mrr")(y, s, -y),
        ValueError,
        "sample_weight must be 0 or more, got -3",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[x[2] for x in ERRORS])
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_errors_name_what_was_given_and_what_to_do(
    call: Callable[[Array, Array], object], kind: type[Exception], message: str
) -> None:
    labels, scores, _ = arrays(11)
    with pytest.raises(kind, match=f"^objective: {message}"):
        call(labels, scores)


def test_an_option_of_the_wrong_kind_is_an_error_of_the_loss() -> None:
    with pytest.raises(ValueError, match=r"^NDCGLoss: k must be at least 1, got 0"):
        objective("ndcg", k=0)


def lists_to_learn() -> tuple[Array, Array, Array]:
    """Features [n, 4], the second of which puts the items of a list in order, and labels."""
    random, sizes = np.random.default_rng(12), np.array([20] * 30)
    features = random.normal(size=(sizes.sum(), 4))
    level = random.normal(size=30).repeat(20)  # differs from list to list and says nothing
    labels = np.digitize(features[:, 1], [-0.5, 0.3, 1.0]).astype(float)
    features[:, 0] = level
    return features, labels, sizes


def in_order(scores: Array, labels: Array, sizes: Array) -> float:
    """The share of pairs of each list with different labels that the scores put in order."""
    right = total = 0
    for s, y in zip(np.split(scores, len(sizes)), np.split(labels, len(sizes)), strict=True):
        pairs = y[:, None] > y[None, :]
        right += (pairs * (s[:, None] > s[None, :])).sum()
        total += pairs.sum()
    return float(right / total)


# Beside what they learn, all of four grades but those for which labels are relevant or not.
LEARNERS = [("ndcg", {"k": 10}), ("pairwise_logistic", {}), ("kendall", {}), ("listnet", {})]


@cases(*LEARNERS)
def test_lightgbm_learns(name: str, options: Options) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    features, labels, sizes = lists_to_learn()
    data = lightgbm.Dataset(features, labels, group=sizes)
    settings = {"objective": objective(name, **options), "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(settings, data, 30)
    assert in_order(booster.predict(features), labels, sizes) > 0.95


def test_lightgbms_ranker_learns_the_same() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    features, labels, sizes = lists_to_learn()
    loss = objective("ndcg")
    ranker = lightgbm.LGBMRanker(
        objective=loss, n_estimators=10, min_child_samples=20, verbosity=-1, n_jobs=1
    )
    ranker = base.clone(ranker).fit(features, labels, group=sizes)
    data = lightgbm.Dataset(features, labels, group=sizes)
    settings = {"objective": loss, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(settings, data, 10)
    np.testing.assert_allclose(ranker.predict(features), booster.predict(features), rtol=1e-6)


@cases(*LEARNERS)
def test_xgboost_learns(name: str, options: Options) -> None:
    xgboost = pytest.importorskip("xgboost", reason="xgboost, which is large, is not installed")
    features, labels, sizes = lists_to_learn()
    of_row = np.arange(len(sizes)).repeat(sizes)
    data = xgboost.DMatrix(features, label=labels, qid=of_row, weight=np.ones(len(sizes)))
    settings = {"min_child_weight": 0, "lambda": 0, "nthread": 1}
    booster = xgboost.train(settings, data, 30, obj=objective(name, **options))
    assert in_order(booster.predict(data), labels, sizes) > 0.95
