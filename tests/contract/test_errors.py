"""Every bad input gives its error, from Python and from the dispatcher, and nothing else."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from operators import (
    ALL_METHODS,
    OPERATORS,
    SOFT_RANK_BACKWARD,
    SPEARMAN_LOSS_BACKWARD,
    Operator,
    Setting,
)
from torch import Tensor

import rank_relax

soft_rank, spearman_loss = torch.ops.rank_relax.soft_rank, torch.ops.rank_relax.spearman_loss
X = torch.zeros(2, 3)

# Both ways in take (tensors..., strength, method=, mask=).
RANKS = (rank_relax.soft_rank, soft_rank)
LOSSES = (rank_relax.spearman_loss, spearman_loss)
WAYS = ["python", "dispatcher"]


def assert_raises(
    expected: type[Exception], parts: tuple[str, ...], call: Callable[..., object], *args: Any
) -> None:
    """Exactly that exception, whose message names the argument and the value."""
    with pytest.raises(expected) as caught:
        call(*args)
    assert type(caught.value) is expected
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("strength", [0.0, -1.5, math.inf, -math.inf, math.nan])
def test_a_strength_that_is_not_positive_and_finite_is_a_value_error(strength: float) -> None:
    value = f"{strength:g}"
    parts = ("regularization_strength", value)
    for rank, loss in zip(RANKS, LOSSES, strict=True):
        assert_raises(ValueError, parts, rank, X, strength)
        assert_raises(ValueError, parts, loss, X, X, strength)

    def through_modules() -> None:
        rank_relax.SoftRank(strength)(X)

    assert_raises(ValueError, parts, through_modules)


@pytest.mark.parametrize("method", ["", "Sigmoid", "l3", "sigmoid\0", "ｓigmoid"])
def test_an_unknown_method_is_a_value_error(method: str) -> None:
    parts = ("method", method.partition("\0")[0])
    for rank, loss in zip(RANKS, LOSSES, strict=True):
        assert_raises(ValueError, parts, lambda rank=rank: rank(X, 1.0, method=method))
        assert_raises(ValueError, parts, lambda loss=loss: loss(X, X, 1.0, method=method))


@pytest.mark.parametrize("way", range(2), ids=WAYS)
@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (torch.complex64, "complex64"),
        (torch.complex128, "complex128"),
        (torch.int64, "int64"),
        (torch.uint8, "uint8"),
        (torch.bool, "bool"),
        (torch.float8_e4m3fn, "float8_e4m3fn"),
    ],
    ids=str,
)
def test_predictions_that_are_not_of_a_floating_dtype_are_a_type_error(
    dtype: torch.dtype, name: str, way: int
) -> None:
    values = X.to(dtype)
    assert_raises(TypeError, ("input", name), RANKS[way], values)
    assert_raises(TypeError, ("predictions", name), LOSSES[way], values, X)


@pytest.mark.parametrize("way", range(2), ids=WAYS)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn], ids=str)
def test_targets_that_cannot_be_ranked_are_a_type_error(dtype: torch.dtype, way: int) -> None:
    name = str(dtype).removeprefix("torch.")
    assert_raises(TypeError, ("targets", name), LOSSES[way], X, X.to(dtype))


@pytest.mark.parametrize("way", range(2), ids=WAYS)
@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (3,), (1, 3), (2, 3, 1), ()], ids=str)
def test_shapes_that_do_not_match_are_a_value_error(shape: tuple[int, ...], way: int) -> None:
    sizes = str(list(shape))
    other, mask = torch.zeros(shape), torch.ones(shape, dtype=torch.bool)
    named = ("targets", sizes, "[2, 3]") if shape else ("targets", "0-dim")
    assert_raises(ValueError, named, LOSSES[way], X, other)
    calls = (lambda: RANKS[way](X, mask=mask), lambda: LOSSES[way](X, X, mask=mask))
    for call in calls:
        assert_raises(ValueError, ("mask", sizes, "[2, 3]"), call)


@pytest.mark.parametrize("way", range(2), ids=WAYS)
def test_a_number_has_no_rank(way: int) -> None:
    number = torch.tensor(1.0)
    assert_raises(ValueError, ("input", "0-dim"), RANKS[way], number)
    assert_raises(ValueError, ("predictions", "0-dim"), LOSSES[way], number, number)


@pytest.mark.parametrize("way", range(2), ids=WAYS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64], ids=str)
def test_a_mask_that_is_not_bool_is_a_type_error(dtype: torch.dtype, way: int) -> None:
    mask = torch.ones(2, 3, dtype=dtype)
    name = str(dtype).removeprefix("torch.")
    for call in (lambda: RANKS[way](X, mask=mask), lambda: LOSSES[way](X, X, mask=mask)):
        assert_raises(TypeError, ("mask", name), call)


@pytest.mark.parametrize("reduction", ["", "Mean", "max"])
def test_an_unknown_reduction_is_a_value_error(reduction: str) -> None:
    parts = ("reduction", repr(reduction))
    assert_raises(ValueError, parts, lambda: rank_relax.spearman_loss(X, X, reduction=reduction))
    assert_raises(ValueError, parts, lambda: rank_relax.SpearmanLoss(reduction=reduction)(X, X))


@pytest.mark.parametrize("scale", ["", "STD", "mean"])
def test_an_unknown_scale_is_a_value_error(scale: str) -> None:
    parts = ("scale", repr(scale))
    assert_raises(ValueError, parts, lambda: rank_relax.soft_rank(X, scale=scale))
    assert_raises(ValueError, parts, lambda: rank_relax.spearman_loss(X, X, scale=scale))
    assert_raises(ValueError, parts, lambda: rank_relax.SoftRank(scale=scale)(X))
    assert_raises(ValueError, parts, lambda: rank_relax.SpearmanLoss(scale=scale)(X, X))


@pytest.mark.parametrize("shape", [(0,), (2,), (1, 1), (2, 3)], ids=str)
def test_a_tensor_strength_with_dimensions_is_a_value_error(shape: tuple[int, ...]) -> None:
    strength, parts = torch.ones(shape), ("regularization_strength", str(list(shape)))
    assert_raises(ValueError, parts, lambda: rank_relax.soft_rank(X, strength))
    assert_raises(ValueError, parts, lambda: rank_relax.spearman_loss(X, X, strength))


@pytest.mark.parametrize("strength", ["1", None, [1.0], 1j], ids=str)
def test_a_strength_that_is_no_number_is_a_type_error(strength: Any) -> None:
    with pytest.raises(TypeError, match="regularization_strength"):
        rank_relax.soft_rank(X, strength)
    with pytest.raises(TypeError, match="regularization_strength"):
        rank_relax.spearman_loss(X, X, strength)


@pytest.mark.parametrize("dim", [2, -3, 17])
def test_a_dimension_out_of_range_is_an_index_error_as_everywhere_in_torch(dim: int) -> None:
    with pytest.raises(IndexError, match=str(dim)):
        rank_relax.soft_rank(X, dim=dim)


def test_errors_come_before_any_work_and_without_data() -> None:
    """Of meta tensors and of empty ones too."""
    for values in (X.to("meta"), torch.zeros(0, 3), torch.zeros(2, 0)):
        mask = torch.ones(values.shape, dtype=torch.bool, device=values.device)
        for rank, loss in zip(RANKS, LOSSES, strict=True):
            assert_raises(ValueError, ("regularization_strength", "-1"), rank, values, -1.0)
            assert_raises(ValueError, ("method",), lambda r=rank: r(values, method="none"))  # noqa: B023
            assert_raises(TypeError, ("predictions",), loss, values.long(), values)
            assert_raises(TypeError, ("mask",), lambda r=rank: r(values, mask=mask.int()))  # noqa: B023
            assert_raises(
                ValueError, ("targets",), loss, values, torch.zeros(9, device=values.device)
            )


def test_a_bad_call_leaves_no_trace() -> None:
    """Neither in the tensors nor in what the next call returns."""
    leaf = torch.randn(2, 3, requires_grad=True)
    before = rank_relax.soft_rank(leaf).detach()
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="regularization_strength"):
            rank_relax.soft_rank(leaf, bad)
    assert leaf.grad is None
    assert torch.equal(rank_relax.soft_rank(leaf), before)


# Private operators, which no one should call by hand, must not crash either.

REFUSED = (ValueError, TypeError, RuntimeError, NotImplementedError)
WRONG: dict[str, Callable[[Tensor], Tensor]] = {
    "0-dim": lambda t: t.new_zeros(()),
    "one dimension less": lambda t: t[0],
    "one dimension more": lambda t: t[None],
    "shorter rows": lambda t: t[..., :-1],
    "fewer rows": lambda t: t[:-1],
    "no items": lambda t: t[..., :0],
    "half": lambda t: t.half(),
    "complex": lambda t: t.to(torch.complex64),
    "integer": lambda t: t.long(),
    "bool": lambda t: t.bool(),
    "on meta": lambda t: t.to("meta"),
    "sparse": lambda t: t.to_sparse(),
}


def accepted(operator: Operator, name: str, wrong: str) -> bool:
    """What is odd, but no mistake: the public loss casts its targets, and one list is no batch."""
    casts = operator.name.startswith("spearman_loss") and wrong in ("half", "integer", "bool")
    # Points are float64 and as many as there are levels, whatever the dtype and size of the lists.
    if "grad_points" in operator.tensors and name == "input":
        return wrong in ("half", "shorter rows", "no items")
    if "grad_quantiles" in operator.tensors and name == "input":
        return wrong == "shorter rows"  # but not without items
    if operator.name == "soft_count":  # which promotes, and has points of its own
        return wrong == "half" or (name == "points" and wrong in ("shorter rows", "no items"))
    if operator.name.startswith("_kernel_sum") and name == "points":
        return wrong in ("shorter rows", "no items")
    alone = len(operator.tensors) == 1 and wrong in (
        *("one dimension less", "one dimension more", "shorter rows", "fewer rows", "no items"),
        *("half", "on meta"),
    )
    return alone or (casts and (name == "targets" or wrong == "half"))


def test_one_wrong_tensor_among_right_ones_is_refused(
    operator: Operator, subtests: pytest.Subtests
) -> None:
    def replaced(argument: Any, right: Tensor, bad: Tensor) -> Any:
        if isinstance(argument, list):
            return [bad if item is right else item for item in argument]
        return bad if argument is right else argument

    for (position, name), wrong in itertools.product(enumerate(operator.tensors), WRONG):
        if accepted(operator, name, wrong):
            continue
        for mask in (None, torch.ones(3, 4, dtype=torch.bool)):
            setting = Setting(1.0, "sigmoid", mask)
            tensors = operator.example((3, 4), torch.float32)
            arguments = operator.arguments(tensors, setting)
            right, bad = tensors[position], WRONG[wrong](tensors[position])
            if operator.name.startswith("_kernel_sum") and name == "weights" and mask is not None:
                continue  # masked by the entry: it is not the tensor that is given
            with (
                subtests.test(tensor=name, wrong=wrong, masked=mask is not None),
                pytest.raises(REFUSED),
            ):
                operator.overload(*(replaced(argument, right, bad) for argument in arguments))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_rank_gradient_is_refused(wrong: str) -> None:
    tensors = SPEARMAN_LOSS_BACKWARD.example((3, 4), torch.float32)
    *front, rank_gradient, strength, method, mask = SPEARMAN_LOSS_BACKWARD.arguments(
        tensors, Setting()
    )
    with pytest.raises(REFUSED):
        SPEARMAN_LOSS_BACKWARD.overload(*front, WRONG[wrong](rank_gradient), strength, method, mask)


def test_a_wrong_mask_is_refused(operator: Operator, subtests: pytest.Subtests) -> None:
    tensors = operator.example((3, 4), torch.float32)
    for wrong in WRONG:
        if wrong == "bool":  # as a mask is
            continue
        arguments = list(operator.arguments(tensors, Setting()))
        place = max(i for i, value in enumerate(arguments) if value is None)
        arguments[place] = WRONG[wrong](torch.ones(3, 4, dtype=torch.bool))
        with subtests.test(wrong=wrong), pytest.raises(REFUSED):
            operator.overload(*arguments)


def test_every_operator_checks_its_strength_and_its_method(
    operator: Operator, subtests: pytest.Subtests
) -> None:
    arguments = operator.arguments(operator.example((3, 4)), Setting())
    place = next(
        i for i, value in enumerate(arguments) if isinstance(value, str) and value in ALL_METHODS
    )
    for name, wrong in (
        *(("regularization_strength", strength) for strength in (-1.0, math.nan, 0.0)),
        ("method", "none"),
    ):
        bad = list(arguments)
        bad[place if name == "method" else place - 1] = wrong
        with subtests.test(name=name, wrong=wrong), pytest.raises(ValueError, match=name):
            operator.overload(*bad)


@pytest.mark.parametrize("count", [0, 1, 4, 16, 17, 64, 1000])
def test_any_number_of_directions_is_computed_or_refused(count: int) -> None:
    x = torch.randn(2, 5, dtype=torch.float64)
    directions = [torch.randn(2, 5, dtype=torch.float64) for _ in range(count)]
    derivative = torch.ops.rank_relax._soft_rank_derivative
    if count <= 16:
        assert derivative(directions, x, 1.0, "sigmoid", None).isfinite().all()
    else:
        with pytest.raises(ValueError, match=f"directions.*{count}"):
            derivative(directions, x, 1.0, "sigmoid", None)


def test_what_is_not_a_tensor_is_refused() -> None:
    for argument in (None, 1.0, [1.0, 2.0], "x"):
        assert_raises(TypeError, ("input", type(argument).__name__), rank_relax.soft_rank, argument)
        # torch's own, of its schemas, but for None, which is a tensor that is not defined.
        with pytest.raises((TypeError, RuntimeError), match="soft_rank"):
            torch.ops.rank_relax.soft_rank(argument)
    with pytest.raises((TypeError, RuntimeError)):
        torch.ops.rank_relax._soft_rank_derivative([None], X, 1.0, "sigmoid", None)


def test_a_gradient_of_another_dtype_is_refused() -> None:
    g, x = SOFT_RANK_BACKWARD.example((3, 4))
    with pytest.raises(TypeError, match="grad_output"):
        SOFT_RANK_BACKWARD.overload(g.float(), x)


@pytest.mark.parametrize(
    "options",
    [{"scale": "std"}, {"regularization_strength": torch.tensor(2.0)}],
    ids=["scale", "tensor strength"],
)
def test_scaled_scores_are_refused_as_others_are(options: dict[str, Any]) -> None:
    def rank(input: Tensor, mask: Tensor | None = None) -> Tensor:
        return rank_relax.soft_rank(input, mask=mask, **options)

    mask = torch.ones(X.shape, dtype=torch.bool)
    for wrong in (mask.to("meta"), mask[:-1]):
        assert_raises(ValueError, ("mask",), rank, X, wrong)
    assert_raises(TypeError, ("mask",), rank, X, mask.int())
    assert_raises(TypeError, ("input", "loat8"), rank, X.to(torch.float8_e4m3fn))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float8_e4m3fn], ids=str)
def test_options_do_not_hide_a_wrong_dtype(dtype: torch.dtype) -> None:
    values, name = X.to(dtype), str(dtype).removeprefix("torch.")
    for options in ({"descending": True}, {"normalize": False}, {"dim": 0}):

        def rank(input: Tensor, options: dict[str, Any] = options) -> Tensor:
            return rank_relax.soft_rank(input, **options)

        assert_raises(TypeError, ("input", name), rank, values)


def test_a_wrong_mask_is_described_as_it_was_given() -> None:
    mask = torch.ones(3, 2, dtype=torch.bool)
    with pytest.raises(
        ValueError, match=r"mask must have the shape of input, \[2, 3\], got \[3, 2\]"
    ):
        rank_relax.soft_rank(X, dim=0, mask=mask)


def test_a_tensor_strength_of_eight_bits_is_a_type_error() -> None:
    strength = torch.tensor(1.0).to(torch.float8_e4m3fn)
    assert_raises(TypeError, ("regularization_strength",), rank_relax.soft_rank, X, strength)


def test_a_tensor_strength_without_a_value_is_a_value_error() -> None:
    strength = torch.tensor(1.0, device="meta")
    assert_raises(
        ValueError, ("regularization_strength", "meta"), rank_relax.soft_rank, X, strength
    )


@pytest.mark.parametrize("module", [rank_relax.SoftRank, rank_relax.SpearmanLoss])
def test_a_module_refuses_a_strength_when_it_is_made(module: type) -> None:
    assert_raises(ValueError, ("regularization_strength", "[2]"), module, torch.ones(2))
    assert_raises(TypeError, ("regularization_strength", "'sharp'"), module, "sharp")


def test_vmap_over_numbers_does_not_rank_the_batch() -> None:
    numbers = torch.randn(5)
    with pytest.raises(ValueError, match="input must have at least one dimension"):
        torch.vmap(torch.ops.rank_relax.soft_rank)(numbers)
    with pytest.raises(ValueError, match="input must have at least one dimension"):
        torch.vmap(torch.ops.rank_relax.soft_rank_backward)(numbers, numbers)
    with pytest.raises(ValueError, match="predictions must have at least one dimension"):
        torch.vmap(torch.ops.rank_relax.spearman_loss)(numbers, numbers)


@pytest.mark.parametrize("shape", [(0, 2**32), (2**40, 0), (0, 2**62)])
def test_no_items_take_no_time_however_large_the_other_size(shape: tuple[int, int]) -> None:
    x = torch.empty(shape)
    assert torch.ops.rank_relax.soft_rank(x).shape == shape
    assert torch.ops.rank_relax.soft_rank_backward(x, x).shape == shape
    if shape[0] == 0:
        assert torch.ops.rank_relax.spearman_loss(x, x).shape == (0,)


@pytest.mark.parametrize(
    "operator",
    [operator for operator in OPERATORS if "_backward" in operator.name],
    ids=lambda operator: operator.name,
)
def test_a_backward_that_is_differentiated_is_checked_too(operator: Operator) -> None:
    leaves = operator.example((3, 6), requires_grad=True)
    vector, *others = operator.arguments(leaves, Setting())
    name = f"{operator.name.partition('[')[0]}: {operator.tensors[0].removeprefix('loss_')}"
    for error, wrong in ((ValueError, vector[:2]), (TypeError, vector.half())):
        with pytest.raises(error, match=name):
            operator.overload(wrong, *others)
