"""Options of a wrong kind have an error that names them, in functions and in modules alike."""

import decimal
import fractions
import inspect
import re
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import rank_relax
from rank_relax import distributed, torchsort

X = torch.tensor([[0.3, 2.0, -1.0, 0.7], [1.5, 1.5, 0.2, -0.4], [0.1, 0.2, 0.4, 0.3]])
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "soft_rank": rank_relax.soft_rank,
    "spearman_loss": lambda x, **o: rank_relax.spearman_loss(x, X.roll(1, -1), **o),
    "soft_sort": rank_relax.soft_sort,
    "soft_quantile": lambda x, **o: rank_relax.soft_quantile(x, **{"q": 0.5, **o}),
    "soft_topk": lambda x, **o: rank_relax.soft_topk(x, **{"k": 1, **o}),
}
MODULES: dict[str, Callable[..., nn.Module]] = {
    "SoftRank": rank_relax.SoftRank,
    "SpearmanLoss": rank_relax.SpearmanLoss,
    "SoftSort": rank_relax.SoftSort,
    "SoftQuantile": lambda **o: rank_relax.SoftQuantile(**{"q": 0.5, **o}),
    "SoftTopK": lambda **o: rank_relax.SoftTopK(**{"k": 1, **o}),
}
PAIRS = list(zip(FUNCTIONS, MODULES, strict=True))
HUGE, TINY = 10**400, fractions.Fraction(1, 10**400)
WRONG: list[tuple[str, Any, type[Exception]]] = [
    *(("dim", dim, TypeError) for dim in (None, 1.0, -1.0, (0, 1), [0], "0", True)),
    ("dim", torch.tensor([0, 1]), TypeError),
    *(("regularization_strength", a, TypeError) for a in (decimal.Decimal(2), "2", 2j, None, True)),
    ("regularization_strength", np.array([2.0]), TypeError),
    *(("regularization_strength", a, ValueError) for a in (HUGE, -HUGE, TINY, 0, -1.5)),
    ("regularization_strength", float("nan"), ValueError),
    ("regularization_strength", torch.ones(2), ValueError),
    ("regularization_strength", torch.ones(1, 1), ValueError),
    ("regularization_strength", torch.tensor(1), TypeError),
    ("method", "l3", ValueError),
    ("method", None, TypeError),
    *(("descending", flag, TypeError) for flag in ("largest", 1, None, np.True_)),
    *(("normalize", flag, TypeError) for flag in ("minmax", 0)),
    *(("largest", flag, TypeError) for flag in ("no", 1)),
    *(("reduction", name, ValueError) for name in (None, "max", True)),
    *(("scale", name, ValueError) for name in (True, "STD", ["std"])),
    *(("q", q, ValueError) for q in (-0.1, 1.1, float("nan"), torch.ones(2, 2), HUGE)),
    *(("q", q, TypeError) for q in (True, [0.5], None, decimal.Decimal("0.5"))),
    *(("k", k, ValueError) for k in (HUGE, -1, float("nan"))),
    *(("k", k, TypeError) for k in (True, "1", [1], None)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair[0])
def test_a_wrong_option_is_named_by_the_function_and_by_the_module_as_it_is_made(
    pair: tuple[str, str],
) -> None:
    name, module_name = pair
    asked = 0
    for option, value, error in WRONG:
        parameters = inspect.signature(getattr(rank_relax, name)).parameters
        if option not in parameters:
            continue
        asked += 1
        messages = []
        for prefix, call in (
            (name, lambda o=option, v=value: FUNCTIONS[name](X, **{o: v})),
            (module_name, lambda o=option, v=value: MODULES[module_name](**{o: v})),
        ):
            with pytest.raises(error, match=rf"^{prefix}: .*\b{option}\b") as caught:
                call()
            messages.append(str(caught.value).removeprefix(prefix))
        if option != "k" or value != HUGE:  # which the function compares with the list
            assert messages[0] == messages[1]
    assert asked > 20


@pytest.mark.parametrize("strength", [0.0, -1.5, float("inf"), float("nan"), 0, -3])
def test_a_strength_has_the_sentence_of_the_operator(strength: float) -> None:
    with pytest.raises(ValueError, match="regularization_strength") as of_operator:
        torch.ops.rank_relax.soft_rank(X, strength)
    with pytest.raises(ValueError, match="regularization_strength") as of_function:
        rank_relax.soft_rank(X, strength)
    assert str(of_function.value) == str(of_operator.value)


@pytest.mark.parametrize("name", ["soft_rank", "soft_quantile"])
def test_the_methods_are_those_of_the_operators(name: str) -> None:
    methods = rank_relax.Method if name == "soft_rank" else rank_relax.SmoothCdf
    call = getattr(torch.ops.rank_relax, name)
    q = (torch.tensor([0.5]),) if name == "soft_quantile" else ()
    with pytest.raises(ValueError, match="method") as of_operator:
        call(X, *q, 1.0, "l3")
    with pytest.raises(ValueError, match="method") as of_function:
        FUNCTIONS[name](X, method="l3")
    assert str(of_function.value) == str(of_operator.value)
    assert all(repr(method) in str(of_operator.value) for method in get_args(methods))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_numbers_of_any_kind_are_taken(name: str) -> None:
    expected = FUNCTIONS[name](X, regularization_strength=2.0, dim=0)
    for strength in (fractions.Fraction(2), np.float32(2), np.int64(2), 2):
        for dim in (np.int64(0), np.int32(-2)):
            actual = FUNCTIONS[name](X, regularization_strength=strength, dim=dim)
            assert torch.equal(actual, expected)


@pytest.mark.parametrize("dim", [2, -3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_dimension_that_a_tensor_lacks_is_an_index_error(name: str, dim: int) -> None:
    with pytest.raises(IndexError, match="Dimension out of range"):
        FUNCTIONS[name](X, dim=dim)


@pytest.mark.parametrize("dim", [1, 0, -1, np.int64(1)])
def test_a_dim_by_position_is_no_strength(dim: int) -> None:
    block = torch.randn(2, 3, 5)
    for call in (
        lambda: rank_relax.soft_topk(block, 2, dim),
        lambda: rank_relax.soft_quantile(block, 0.5, dim),
        lambda: rank_relax.soft_sort(block, dim),
    ):
        with pytest.raises(TypeError, match=rf"regularization_strength={dim} or dim={dim}$"):
            call()


def test_an_integer_strength_is_taken_by_name_and_a_float_by_position() -> None:
    expected = rank_relax.soft_sort(X, 10.0)
    assert torch.equal(rank_relax.soft_sort(X, regularization_strength=10), expected)
    assert torch.equal(rank_relax.SoftSort(10)(X), expected)
    chosen = rank_relax.soft_topk(X, 2, 3.0)
    assert torch.equal(rank_relax.SoftTopK(2, 3)(X), chosen)
    assert torch.equal(
        torch.compile(lambda x: rank_relax.soft_topk(x, 2, 3.0), backend="eager")(X), chosen
    )


def test_signatures_and_types_can_be_read() -> None:
    parameters = inspect.signature(rank_relax.soft_topk).parameters
    assert list(parameters)[:3] == ["input", "k", "regularization_strength"]
    assert get_args(parameters["method"].annotation) == (
        *("sigmoid", "gaussian", "laplace", "cauchy"),
    )
    assert rank_relax.soft_topk.__module__ == "rank_relax.topk"


def test_options_that_are_assigned_later_are_checked_by_the_call() -> None:
    module = rank_relax.SoftRank()
    module.descending = "yes"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="descending"):
        module(X)


@pytest.mark.parametrize(
    "value", [0.0, HUGE, TINY, "1", True, np.array([1.0]), torch.ones(2)], ids=str
)
def test_torchsort_and_distributed_name_a_wrong_strength(value: Any) -> None:
    for call in (
        lambda: torchsort.soft_rank(X, "l2", value),
        lambda: torchsort.soft_sort(X, "l2", value),
        lambda: distributed.SpearmanLoss(value),
    ):
        with pytest.raises((TypeError, ValueError), match="regularization_strength"):
            call()
    for option in ({"method": "l2"}, {"reduction": "max"}):
        with pytest.raises(ValueError, match=f"^SpearmanLoss: {next(iter(option))} must be one of"):
            distributed.SpearmanLoss(**option)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_strength_of_one_element_has_a_gradient_of_its_shape(name: str) -> None:
    number = torch.tensor(2.0, requires_grad=True)
    element = torch.tensor([2.0], requires_grad=True)
    weights = torch.linspace(-1, 1, X.numel()).view_as(X)
    for strength in (number, element):
        result = FUNCTIONS[name](X, regularization_strength=strength)
        (result * weights.flatten()[: result.numel()].view_as(result)).sum().backward()
    assert element.grad is not None
    assert element.grad.shape == (1,)
    assert element.grad.item() == number.grad.item() != 0  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["soft_rank", "soft_sort"])
@pytest.mark.parametrize("shape", [(), (1,)], ids=str)
def test_torchsort_learns_a_strength(name: str, shape: tuple[int, ...]) -> None:
    def loss(strength: float | Tensor) -> Tensor:
        return (getattr(torchsort, name)(X.double(), "l2", strength) * X).sum()

    strength = torch.full(shape, 0.9, dtype=torch.float64, requires_grad=True)
    loss(strength).backward()
    torch.testing.assert_close(loss(strength), loss(0.9), rtol=1e-10, atol=1e-10)
    slope = (loss(0.9 + 1e-6) - loss(0.9 - 1e-6)) / 2e-6
    assert strength.grad is not None
    assert strength.grad.shape == shape
    assert strength.grad.item() == pytest.approx(slope.item(), abs=1e-6)


# Batches of lists of one item.

ALONE: dict[str, Callable[[Tensor], Tensor]] = {
    "hard_rank": rank_relax.hard_rank,
    "spearman_correlation": lambda x: rank_relax.spearman_correlation(x, x),
    "spearman_loss": lambda x: rank_relax.spearman_loss(x, x),
    "SpearmanLoss": lambda x: rank_relax.SpearmanLoss()(x, x),
    "soft_rank": rank_relax.soft_rank,
    "SoftRank": rank_relax.SoftRank(),
    "soft_topk": lambda x: rank_relax.soft_topk(x, 1),
    "torchsort": torchsort.soft_rank,
}


@pytest.mark.parametrize("name", ALONE)
def test_a_batch_of_lists_of_one_item_has_a_warning_at_the_caller(name: str) -> None:
    with pytest.warns(
        UserWarning, match=r"\[16, 1\] has 16 lists.*\.squeeze\(-1\).*dim="
    ) as caught:
        ALONE[name](torch.randn(16, 1))
    assert [Path(warning.filename).name for warning in caught] == ["test_arguments.py"]


@pytest.mark.parametrize("name", ALONE)
def test_nothing_else_has_that_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in ((16,), (1,), (1, 1), (0, 1), (16, 0), (16, 2)):
            if name != "soft_topk" or shape[-1] > 0:
                ALONE[name](torch.randn(shape))
        torch.vmap(ALONE[name])(torch.randn(16, 1))
        torch.compile(ALONE[name], backend="eager", fullgraph=True)(torch.randn(16, 1))
    rank_relax.soft_sort(torch.randn(16, 1))  # is the item itself
    rank_relax.soft_quantile(torch.randn(16, 1), 0.5)


@pytest.mark.parametrize("name", ["soft_rank", "hard_rank", "spearman_loss"])
def test_the_warning_speaks_of_the_tensor_and_dimension_that_were_given(name: str) -> None:
    row = torch.randn(1, 4)
    further = (row,) if name == "spearman_loss" else ()
    with pytest.warns(UserWarning, match=r"\[1, 4\] has 4 .* dimension 0,.*squeeze\(0\)"):
        getattr(rank_relax, name)(row, *further, dim=0)


HARD: dict[str, Callable[..., Tensor]] = {
    "hard_rank": rank_relax.hard_rank,
    "spearman_correlation": lambda x, **o: rank_relax.spearman_correlation(x, -X, **o),
}


@pytest.mark.parametrize("name", HARD)
def test_a_wrong_option_of_hard_ranks_is_named(name: str) -> None:
    flags = ("no", 1, 0.0, None, np.True_, torch.tensor(True))
    wrong = [("dim", dim, TypeError) for dim in (None, 1.0, "0", (0,), True)]
    if name == "hard_rank":
        wrong += [(o, flag, TypeError) for o in ("descending", "normalize") for flag in flags]
        wrong += [("dtype", dtype, TypeError) for dtype in (torch.int64, "float32")]
    else:
        wrong += [("reduction", name, ValueError) for name in (None, "max")]
    wrong += [("mask", X, TypeError), ("mask", X[0] > 0, ValueError)]
    for option, value, error in wrong:
        with pytest.raises(error, match=rf"^{name}: {option} "):
            HARD[name](X, **{option: value})
    assert torch.equal(HARD[name](X, dim=np.int64(0)), HARD[name](X, dim=0))


@pytest.mark.parametrize("scale", [None, "std", "correlation"])
def test_targets_that_cannot_be_ranked_are_named(scale: Any) -> None:
    def of(targets: Tensor) -> Tensor:
        if scale == "correlation":
            return rank_relax.spearman_correlation(X, targets)
        return rank_relax.spearman_loss(X, targets, scale=scale)

    for targets, error in (
        (X.to_sparse(), TypeError),
        (X.to("meta"), ValueError),
        (X.to(torch.float8_e4m3fn), TypeError),
        (X.to(torch.complex64), TypeError),
    ):
        with pytest.raises(error, match=r"^spearman_\w+: targets "):
            of(targets)


def test_a_module_refuses_what_its_calls_always_would() -> None:
    for make, error, message in (
        (
            lambda: rank_relax.SoftSort(torch.tensor(1.0), method="kl"),
            ValueError,
            "must be a float",
        ),
        (lambda: rank_relax.SoftTopK(torch.tensor(True)), TypeError, "k must be of an integer"),
        (lambda: rank_relax.SoftQuantile(torch.tensor(1)), TypeError, "q must be .*got int64"),
        (lambda: rank_relax.SoftTopK(nn.Parameter(torch.tensor(1.0))), ValueError, "detach"),
        (lambda: rank_relax.SoftQuantile(nn.Parameter(torch.tensor(1.0))), ValueError, "detach"),
    ):
        with pytest.raises(error, match=message):
            make()


@pytest.mark.parametrize("name", MODULES)
def test_a_numpy_dim_of_a_module_is_an_int_and_compiles(name: str) -> None:
    module = MODULES[name](dim=np.int64(0))
    assert type(module.dim) is int
    arguments = (X, -X) if name == "SpearmanLoss" else (X,)
    graph = torch.compile(module, backend="aot_eager", fullgraph=True)
    assert torch.equal(graph(*arguments), module(*arguments))


@pytest.mark.parametrize("name", [*FUNCTIONS, *HARD])
def test_a_numpy_dim_in_a_compiled_function_is_taken(name: str) -> None:
    function = {**FUNCTIONS, **HARD}[name]
    graph = torch.compile(
        lambda x: function(x, dim=np.int64(0)), backend="aot_eager", fullgraph=True
    )
    assert torch.equal(graph(X), function(X, dim=0))


@pytest.mark.parametrize("options", [{}, {"scale": "std"}, {"regularization_strength": X[0, 0]}])
def test_targets_ranked_hard_are_refused_a_derivative_at_every_level(
    options: dict[str, Any],
) -> None:
    leaf = X.clone().requires_grad_()
    with pytest.raises(ValueError, match="targets have no gradient"):
        torch.func.jvp(lambda t: rank_relax.spearman_loss(-X, t, **options), (X,), (X,))
    with pytest.raises(ValueError, match="targets have no gradient"):
        torch.func.grad(lambda p: rank_relax.spearman_loss(p, leaf, **options))(-X)
    torch.func.grad(lambda p: rank_relax.spearman_loss(p, X, **options))(-X)
    with torch.no_grad():
        rank_relax.spearman_loss(-X, leaf, **options)


def test_the_warning_comes_once_from_a_place() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            rank_relax.soft_rank(torch.randn(4, 1))
    assert len(caught) == 1


@pytest.mark.parametrize("column", ["predictions", "targets"])
@pytest.mark.parametrize("way", [rank_relax.spearman_loss, torch.ops.rank_relax.spearman_loss])
def test_a_column_beside_a_list_is_told_to_be_squeezed(
    column: str, way: Callable[..., Tensor]
) -> None:
    sides = {"predictions": torch.randn(16), "targets": torch.randn(16)}
    sides[column] = sides[column][:, None]
    with pytest.raises(ValueError, match=re.escape(f"use {column}.squeeze(-1)")):
        way(sides["predictions"], sides["targets"])
    if way is rank_relax.spearman_loss:
        with pytest.raises(ValueError, match=re.escape(f"use {column}.squeeze(-1)")):
            way(sides["predictions"], sides["targets"], dim=0)


@pytest.mark.parametrize("dim", [0, 1, -2, -3])
@pytest.mark.parametrize("options", [{}, {"scale": "std"}, {"method": "l2"}], ids=str)
def test_the_loss_along_a_dimension_is_that_of_the_moved_one(
    dim: int, options: dict[str, Any]
) -> None:
    p, t = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    mask = torch.rand(p.shape) > 0.2
    moved = [tensor.movedim(dim, -1) for tensor in (p, t, mask)]
    for reduction in ("mean", "sum", "none"):
        shared = {**options, "reduction": reduction}
        actual = rank_relax.spearman_loss(p, t, 2.0, dim=dim, mask=mask, **shared)
        expected = rank_relax.spearman_loss(*moved[:2], 2.0, mask=moved[2], **shared)
        assert torch.equal(actual, expected)
        module = rank_relax.SpearmanLoss(2.0, dim=dim, **shared)
        assert torch.equal(module(p, t, mask), expected)
    assert f"dim={dim}" in repr(module)


def test_the_version_is_that_of_the_project() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    assert rank_relax.__version__ == tomllib.loads(project.read_text())["project"]["version"]
