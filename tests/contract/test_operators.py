"""The same questions for every operator, private ones too; the answers are the float64 oracle's."""

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import oracle
import pytest
import torch
from comparison import assert_within
from layouts import LAYOUTS
from operators import (
    ALL_METHODS,
    DERIVATIVE_ERROR,
    FORMULAS,
    MASKED,
    METHODS,
    QUANTILE_SORT_PRODUCTS,
    RANK_ERROR,
    SHAPES,
    SOFT_QUANTILE,
    SOFT_QUANTILE_BACKWARD,
    SOFT_RANK,
    SOFT_RANK_BACKWARD,
    SOFT_SORT,
    SOFT_TOPK,
    SOFT_TOPK_BACKWARD,
    SPEARMAN_LOSS,
    SPEARMAN_LOSS_BACKWARD,
    SPEARMAN_LOSS_FORWARD,
    Operator,
    Setting,
    Tensors,
    derivative_operator,
    rank_gradient_bound,
    settings,
)
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import gradcheck, gradgradcheck
from torch.autograd.graph import saved_tensors_hooks

EVERY_FORMULA = pytest.mark.parametrize("operator", FORMULAS, ids=lambda operator: operator.name)
FLOATS = (torch.float64, torch.float32)
HALVES = (torch.float16, torch.bfloat16)
RANKS_AND_LOSSES = (
    SOFT_RANK,
    SOFT_RANK_BACKWARD,
    derivative_operator(2),
    SPEARMAN_LOSS,
    SPEARMAN_LOSS_BACKWARD,
)
SORTS_AND_MASKS = (
    SOFT_SORT,
    *QUANTILE_SORT_PRODUCTS,
    SOFT_QUANTILE,
    SOFT_QUANTILE_BACKWARD,
    SOFT_TOPK,
    SOFT_TOPK_BACKWARD,
)


def gradients(
    function: Callable[[Tensors, Setting], Tensor],
    tensors: Tensors,
    setting: Setting,
    cotangent: Tensor,
) -> Sequence[Tensor]:
    leaves = tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)
    output = function(leaves, setting)
    return torch.autograd.grad(output, leaves, cotangent, allow_unused=True, materialize_grads=True)


# The oracle itself


@pytest.mark.parametrize("method", METHODS)
def test_the_oracle_is_the_sum_that_the_documentation_states(method: str) -> None:
    x, alpha = [0.3, -1.2, 2.0, 0.3], 1.7

    def sigmoid(d: float) -> float:
        return 1 / (1 + math.exp(-d))

    def gaussian(d: float) -> float:
        return math.erfc(-d / 2**0.5) / 2

    def laplace(d: float) -> float:
        return math.exp(d) / 2 if d < 0 else 1 - math.exp(-d) / 2

    def cauchy(d: float) -> float:
        return 1 / 2 + math.atan(d) / math.pi

    cdfs = {"sigmoid": sigmoid, "gaussian": gaussian, "laplace": laplace, "cauchy": cauchy}
    cdf = cdfs[method]
    expected = [sum(cdf(alpha * (x[i] - x[j])) for j in range(4) if j != i) / 3 for i in range(4)]
    actual = oracle.soft_rank(torch.tensor(x, dtype=torch.float64), alpha, method)
    assert actual.tolist() == pytest.approx(expected, abs=1e-15)  # a few roundings


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", range(5))
def test_the_oracles_derivatives_are_those_of_autograd(method: str, order: int) -> None:
    d = torch.linspace(-6, 6, 41, dtype=torch.float64, requires_grad=True)
    lower = oracle.cdf_derivative(d, method, order)
    (derivative,) = torch.autograd.grad(lower.sum(), d)
    # Rounding of polynomials whose terms reach 100 at d = 6.
    assert_within(oracle.cdf_derivative(d, method, order + 1), derivative, 1e-13)


# Forward


@EVERY_FORMULA
def test_the_result_is_the_oracles(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    for shape, dtype in itertools.product(operator.those_it_takes(SHAPES), FLOATS):
        with subtests.test(shape=shape, dtype=dtype):
            for setting in operator.settings(shape, device):
                tensors = operator.example(shape, dtype, device)
                actual = operator(tensors, setting)
                assert actual.dtype == operator.result_dtype(dtype)
                bound = operator.error_bound(tensors, setting, dtype)
                assert_within(actual, operator.expected(tensors, setting), bound)


@EVERY_FORMULA
@pytest.mark.slow
def test_the_result_is_the_oracles_in_a_batch_of_short_rows(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    """Enough rows to be computed abreast, and some that can't."""
    for dtype, n, strength, method in itertools.product(
        FLOATS, (2, 33, 90), (1e-3, 2.0), operator.methods
    ):
        setting = Setting(strength, method)
        tensors = operator.example((20, n), dtype, device)  # of one float a row, 16 fill a register
        *_, input = tensors
        input[9] = 0.3
        input[10] *= 1e-6
        input[18] *= 1e4
        bound = operator.error_bound(tensors, setting, dtype)
        with subtests.test(dtype=dtype, n=n, strength=strength, method=method):
            assert_within(operator(tensors, setting), operator.expected(tensors, setting), bound)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "operator", [*RANKS_AND_LOSSES, *SORTS_AND_MASKS], ids=lambda operator: operator.name
)
def test_the_result_is_the_oracles_in_a_batch_of_sharp_rows(
    operator: Operator, dtype: torch.dtype, device: str, subtests: pytest.Subtests
) -> None:
    """Rows that are sorted abreast, with ties, clusters and a constant one among them."""
    for n, strength, method in itertools.product((2, 17, 130), (20.0, 1e4), ("sigmoid", "laplace")):
        setting = Setting(strength, method)
        tensors = operator.example((20, n), dtype, device)
        *_, input = tensors
        input[1] = torch.round(8 * input[1]) / 8
        # The rounding of points at a distance of 100 is more than the bound of products.
        input[2] += (10 if operator in QUANTILE_SORT_PRODUCTS else 100) * torch.round(input[2])
        input[7] *= 1e3
        input[9] = 0.3
        bound = operator.error_bound(tensors, setting, dtype)
        with subtests.test(n=n, strength=strength, method=method):
            assert_within(operator(tensors, setting), operator.expected(tensors, setting), bound)


@pytest.mark.parametrize("shape", [(100,), (400,), (20, 30)], ids=str)
@pytest.mark.parametrize(
    ("dtype", "offset"),
    [(torch.float32, 2.0**24), (torch.float32, 1e7), (torch.float64, 2.0**52)],
    ids=str,
)
def test_rows_of_neighbouring_numbers_are_ranked_as_exactly(
    dtype: torch.dtype, offset: float, shape: tuple[int, ...], device: str
) -> None:
    spacing = torch.nextafter(
        torch.tensor(offset, dtype=dtype), torch.tensor(math.inf, dtype=dtype)
    ) - torch.tensor(offset, dtype=dtype)
    for several in (2, 4, 9):
        steps = torch.randint(0, several, shape, device=device).to(dtype)
        x, g = offset + steps * spacing, torch.randn(shape, dtype=dtype, device=device)
        for method in METHODS:
            for strength in (0.01, 1.0):
                setting = Setting(strength / float(spacing), method)
                for operator, tensors in ((SOFT_RANK, (x,)), (SOFT_RANK_BACKWARD, (g, x))):
                    bound = operator.error_bound(tensors, setting, dtype)
                    expected = operator.expected(tensors, setting)
                    assert_within(operator(tensors, setting), expected, bound)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(30,), (300,), (40, 26)], ids=str)
def test_a_constant_row_has_ranks_of_a_half_however_large_or_sharp(
    shape: tuple[int, ...], dtype: torch.dtype, device: str
) -> None:
    values, strengths = (0.0, 1.0, 1e30, 3e38), (1e-300, 1.0, 1e10, 1e308)
    for value, strength, method in itertools.product(values, strengths, ALL_METHODS):
        x = torch.full(shape, value, dtype=dtype, device=device)
        g = torch.randn(shape, dtype=dtype, device=device)
        setting = Setting(strength, method)
        assert (SOFT_RANK((x,), setting) == 0.5).all()
        assert not SOFT_RANK_BACKWARD((g, x), setting).isnan().any()
        beside_zeros = torch.cat([torch.zeros_like(x), x], -1)
        assert not SOFT_RANK((beside_zeros,), setting).isnan().any()


@EVERY_FORMULA
def test_the_result_is_the_oracles_at_any_strength(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    shape, strengths = (4, 33), (1e-3, 0.1, 10.0, 1e3)
    for dtype, strength, method in itertools.product(FLOATS, strengths, operator.methods):
        setting = Setting(strength, method, operator.random_mask(shape, device))
        tensors = operator.example(shape, dtype, device)
        bound = operator.error_bound(tensors, setting, dtype)
        with subtests.test(dtype=dtype, strength=strength, method=method):
            assert_within(operator(tensors, setting), operator.expected(tensors, setting), bound)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_forward_hands_on_the_gradients_with_respect_to_the_ranks(
    dtype: torch.dtype, device: str
) -> None:
    operator, shape = SPEARMAN_LOSS_FORWARD, (3, 40)
    for setting in settings(shape, device):
        predictions, targets = tensors = operator.example(shape, dtype, device)
        _, *rank_gradients = operator.overload(*tensors, *setting)
        expected = oracle.spearman_rank_gradients(*tensors, *setting)
        for actual, exact, pair in zip(
            rank_gradients, expected, (tensors, (targets, predictions)), strict=True
        ):
            assert actual.dtype == dtype
            # Rounding to the dtype comes on top.
            bound = rank_gradient_bound(pair, setting, dtype)
            assert_within(actual, exact, bound + torch.finfo(dtype).eps * exact.abs())


@EVERY_FORMULA
def test_half_precision_is_the_float32_result_rounded(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    for half, shape in itertools.product(HALVES, ((3, 7), (2, 120), (1, 2100))):
        with subtests.test(half=half, shape=shape):
            for setting in operator.settings(shape, device):
                tensors = operator.example(shape, half, device)
                expected = operator(operator.converted(tensors, torch.float32), setting)
                actual = operator(tensors, setting)
                assert actual.dtype == operator.result_dtype(half)
                if operator.is_rounded_double:  # once: float32 rounded twice may be one step off
                    lowest, highest = (
                        torch.nextafter(expected, expected.new_tensor(end)).to(half)
                        for end in (-math.inf, math.inf)
                    )
                    assert ((lowest <= actual) & (actual <= highest)).all()
                else:
                    assert torch.equal(actual, expected.to(operator.result_dtype(half)))


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_half_precision_gradients_are_the_float32_gradients_rounded(
    half: torch.dtype, device: str
) -> None:
    shape = (3, 40)
    for operator in (SOFT_RANK, SPEARMAN_LOSS):
        for setting in settings(shape, device):
            tensors = operator.example(shape, half, device)
            cotangent = torch.randn_like(operator(tensors, setting))
            actual = gradients(operator, tensors, setting, cotangent)
            exact = gradients(
                operator, operator.converted(tensors, torch.float32), setting, cotangent.float()
            )
            for gradient, reference in zip(actual, exact, strict=True):
                assert gradient.dtype == half
                assert torch.equal(gradient, reference.to(half))


def test_the_rank_gradients_of_half_precision_are_float32(device: str) -> None:
    tensors = SPEARMAN_LOSS_FORWARD.example((3, 40), torch.float16, device)
    loss, *rank_gradients = SPEARMAN_LOSS_FORWARD.overload(*tensors, *Setting())
    assert loss.dtype == torch.float16
    assert [gradient.dtype for gradient in rank_gradients] == [torch.float32] * 2


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize(
    ("distribution", "strength"),
    [("normal", 0.01), ("normal", 1.0), ("normal", 30.0), ("clusters", 10.0), ("outlier", 1e3)],
)
def test_a_long_row_is_as_exact_as_a_short_one(
    distribution: str, strength: float, method: str, device: str
) -> None:
    n = 2000
    x = torch.randn(n, device=device)
    if distribution == "clusters":
        x = x * 1e-2 + torch.randint(0, 5, (n,), device=device)
    if distribution == "outlier":
        x[17] = 1e6
    setting, g = Setting(strength, method), torch.randn(n, device=device)
    for operator, tensors in ((SOFT_RANK, (x,)), (SOFT_RANK_BACKWARD, (g, x))):
        expected = operator.expected(tensors, setting)
        bound = operator.error_bound(tensors, setting, torch.float32)
        assert_within(operator(tensors, setting), expected, bound)
        # float64's bounds are float32's times a constant.
        ratio = (RANK_ERROR if operator is SOFT_RANK else DERIVATIVE_ERROR)[torch.float64]
        ratio /= (RANK_ERROR if operator is SOFT_RANK else DERIVATIVE_ERROR)[torch.float32]
        actual = operator(operator.converted(tensors, torch.float64), setting)
        assert_within(actual, expected, bound * ratio)


# Gradients


@EVERY_FORMULA
def test_the_gradient_is_that_of_the_oracle(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    for shape, dtype in itertools.product(operator.those_it_takes(SHAPES), FLOATS):
        with subtests.test(shape=shape, dtype=dtype):
            for setting in operator.settings(shape, device):
                check_gradients(operator, operator.example(shape, dtype, device), setting)


def check_gradients(operator: Operator, tensors: Tensors, setting: Setting) -> None:
    dtype = tensors[-1].dtype
    cotangent = torch.randn_like(operator(tensors, setting))
    actual = gradients(operator, tensors, setting, cotangent)
    doubles = operator.converted(tensors, torch.float64)
    exact = gradients(operator.expected, doubles, setting, cotangent.double())
    bounds = operator.vjp_error_bound(cotangent, tensors, setting, dtype)
    for gradient, tensor, reference, bound in zip(actual, tensors, exact, bounds, strict=True):
        assert gradient.dtype == tensor.dtype
        assert_within(gradient, reference, bound)


CASES = [
    pytest.param(operator, method, masked, id=f"{operator.name}-{method}{'-masked' * masked}")
    for operator in FORMULAS
    for method in operator.methods
    for masked in ((True,) if method == "laplace" else MASKED.get(method, (False, True)))
]


@pytest.mark.parametrize(("operator", "method", "masked"), CASES)
class TestFiniteDifferences:
    """torch's own checks: reverse and forward mode, batched, and each over the other."""

    shape = (2, 5)

    def test_first_derivatives(
        self, operator: Operator, method: str, masked: bool, device: str
    ) -> None:
        function, tensors = self.with_gradients(operator, method, masked, device)
        assert gradcheck(
            function,
            tensors,
            check_forward_ad=True,
            check_batched_grad=True,
            check_batched_forward_grad=True,
        )

    def test_second_derivatives(
        self, operator: Operator, method: str, masked: bool, device: str
    ) -> None:
        function, tensors = self.with_gradients(operator, method, masked, device)
        assert gradgradcheck(function, tensors, check_fwd_over_rev=True, check_batched_grad=True)

    def with_gradients(
        self, operator: Operator, method: str, masked: bool, device: str
    ) -> tuple[Callable[..., Tensor], Tensors]:
        """The operator of its tensors, with gradients: of zeros the checks would show nothing."""
        mask = operator.random_mask(self.shape, device) if masked else None
        setting = Setting(1.3, method, mask)
        tensors = operator.example(self.shape, device=device, requires_grad=True)

        def function(*inputs: Tensor) -> Tensor:
            return operator(inputs, setting)

        output = function(*tensors)
        gradients = torch.autograd.grad(output, tensors, torch.randn_like(output))
        for name, gradient in zip(operator.tensors, gradients, strict=True):
            assert (gradient.abs().max() <= 1e-3) == (name in operator.flat_in)
        return function, tensors


@pytest.mark.parametrize(
    ("operator", "method"),
    [
        pytest.param(operator, method, id=f"{operator.name}-{method}")
        for operator in FORMULAS
        for method in operator.methods
    ],
)
def test_the_third_derivative_is_that_of_the_oracle(
    operator: Operator, method: str, device: str
) -> None:
    """All of the third order: the sum over the entries of each second derivative, once more."""
    shape = (2, 5)
    setting = Setting(1.3, method, operator.random_mask(shape, device))
    example = operator.example(shape, device=device)
    weights = [torch.randn_like(tensor) for tensor in example]
    cotangent = torch.randn_like(operator(example, setting))

    def third(function: Callable[[Tensors, Setting], Tensor]) -> Sequence[Tensor]:
        leaves = tuple(tensor.clone().requires_grad_() for tensor in example)
        value = (function(leaves, setting) * cotangent).sum()
        # Where it is linear, the oracle's derivative does not depend on the leaves.
        nothing = sum(((0 * leaf).sum() for leaf in leaves), torch.zeros_like(value))
        for _ in range(2):
            derivative = torch.autograd.grad(
                value + nothing,
                leaves,
                create_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            value = sum(
                ((d * w).sum() for d, w in zip(derivative, weights, strict=True)),
                torch.zeros((), dtype=torch.float64, device=device),
            )
        return torch.autograd.grad(
            value + nothing, leaves, allow_unused=True, materialize_grads=True
        )

    for actual, exact in zip(third(operator), third(operator.expected), strict=True):
        # Rounding of sums of products of order 1 to 1e3, in float64.
        assert_within(actual, exact, 1e-10 * (1 + float(exact.abs().max())))


def test_only_the_gradients_that_are_asked_for_are_returned(
    operator: Operator, device: str
) -> None:
    for position in range(len(operator.tensors)):
        tensors = operator.example((3, 6), device=device)
        tensors[position].requires_grad_()
        output = operator(tensors, Setting())
        cotangent = torch.randn_like(output)
        (alone,) = torch.autograd.grad(output, tensors[position], cotangent)
        all_of_them = gradients(operator, tensors, Setting(), cotangent)
        assert torch.equal(alone, all_of_them[position])


# The dispatcher


# opcheck looks at the .grad of what a composite computes on its way.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(
    ("dtype", "masked"),
    [(torch.float32, False), (torch.float16, True)],
    ids=["float32", "float16, masked"],
)
def test_opcheck_passes(operator: Operator, dtype: torch.dtype, masked: bool, device: str) -> None:
    shape = (2, 3, 5)
    setting = Setting(1.5, "gaussian", operator.random_mask(shape, device) if masked else None)
    for requires_grad in (False, True):
        tensors = operator.example(shape, dtype, device, requires_grad=requires_grad)
        # Half-precision gradients of a traced decomposition round at other places: 2^-10.
        tolerance = {"rtol": 1e-2, "atol": 1e-2} if dtype == torch.float16 else {}
        torch.library.opcheck(operator.overload, operator.arguments(tensors, setting), **tolerance)


def described(outputs: object) -> list[tuple[object, ...]]:
    """Shape, stride, dtype and offset of each output."""
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    return [(t.shape, t.stride(), t.dtype, t.storage_offset()) for t in tensors]


def laid_out(tensors: Tensors, layout: str) -> Tensors:
    """The same values in another layout; a number has but one."""
    return tuple(LAYOUTS[layout](tensor) if tensor.dim() else tensor for tensor in tensors)


def test_strides_do_not_change_a_bit(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    shape = (3, 4, 6)
    for layout in LAYOUTS:
        with subtests.test(layout=layout):
            for setting in operator.settings(shape, device):
                tensors = operator.example(shape, torch.float32, device)
                check_that_dense_ones_are_no_different(operator, tensors, setting, layout)


def check_that_dense_ones_are_no_different(
    operator: Operator, tensors: Tensors, setting: Setting, layout: str
) -> None:
    views = laid_out(tensors, layout)
    mask = None if setting.mask is None else LAYOUTS[layout](setting.mask)
    dense_mask = None if mask is None else mask.clone(memory_format=torch.contiguous_format)
    dense = tuple(v.clone(memory_format=torch.contiguous_format) for v in views)
    actual = operator(views, setting._replace(mask=mask))
    expected = operator(dense, setting._replace(mask=dense_mask))
    assert actual.is_contiguous()
    assert torch.equal(actual.isnan(), expected.isnan())
    assert torch.equal(actual.nan_to_num(), expected.nan_to_num())
    cotangent = torch.randn_like(expected).expand_as(expected)
    of_views = gradients(operator, views, setting._replace(mask=mask), cotangent)
    of_dense = gradients(operator, dense, setting._replace(mask=dense_mask), cotangent)
    for gradient, reference in zip(of_views, of_dense, strict=True):
        assert torch.equal(gradient, reference)


def test_an_expanded_cotangent_is_the_same_as_a_dense_one(operator: Operator, device: str) -> None:
    tensors = operator.example((3, 6), device=device)
    ones = torch.ones((), dtype=torch.float64, device=device)
    expanded = ones.expand(operator(tensors, Setting()).shape)
    of_expanded = gradients(operator, tensors, Setting(), expanded)
    of_dense = gradients(operator, tensors, Setting(), expanded.contiguous())
    for gradient, reference in zip(of_expanded, of_dense, strict=True):
        assert torch.equal(gradient, reference)


STRIDED_SHAPES = ((1,), (3, 4, 6), (2, 1), (2, 0), (0, 4))
STRIDED_LAYOUTS = ("transposed", "step slice", "expanded rows")


def test_the_output_is_contiguous_and_never_an_alias(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    shapes = operator.those_it_takes(STRIDED_SHAPES)
    for shape, layout in itertools.product(shapes, STRIDED_LAYOUTS):
        with subtests.test(shape=shape, layout=layout):
            for setting in operator.settings(shape, device):
                tensors = laid_out(operator.example(shape, device=device), layout)
                arguments = operator.arguments(tensors, setting)
                outputs = operator.overload(*arguments)
                inputs = [a for a in arguments if isinstance(a, Tensor)] + list(tensors)
                storages = {tensor.untyped_storage().data_ptr() for tensor in inputs}
                for output in outputs if isinstance(outputs, tuple) else (outputs,):
                    assert output.is_contiguous()
                    assert output.stride() == torch.empty(output.shape).stride()
                    if output.numel():
                        assert output.untyped_storage().data_ptr() not in storages


def test_a_tensor_without_data_gives_the_shape_stride_and_dtype_of_eager(
    operator: Operator, subtests: pytest.Subtests
) -> None:
    """Every shape in every layout, and every dtype in some of them."""
    shapes = operator.those_it_takes(STRIDED_SHAPES)
    cases = [
        *itertools.product(shapes, STRIDED_LAYOUTS, [torch.float32]),
        *itertools.product([(3, 4, 6), (2, 1)], ["transposed"], [torch.float64, *HALVES]),
    ]
    for shape, layout, dtype in cases:
        with subtests.test(shape=shape, layout=layout, dtype=dtype):
            for setting in operator.settings(shape)[:2]:
                tensors = laid_out(operator.example(shape, dtype), layout)
                expected = described(operator.overload(*operator.arguments(tensors, setting)))
                for kind in ("meta", "fake"):
                    assert described_without_data(operator, tensors, setting, kind) == expected


def described_without_data(
    operator: Operator, tensors: Tensors, setting: Setting, kind: str
) -> list[tuple[object, ...]]:
    with ExitStack() as stack:
        if kind == "meta":

            def emptied(tensor: Tensor) -> Tensor:
                return tensor.to("meta")

        else:
            emptied = stack.enter_context(FakeTensorMode()).from_tensor
        mask = None if setting.mask is None else emptied(setting.mask)
        empty = tuple(emptied(tensor) for tensor in tensors)
        arguments = operator.arguments(empty, setting._replace(mask=mask))
        return described(operator.overload(*arguments))


def test_meta_tensors_have_meta_gradients(operator: Operator) -> None:
    tensors = tuple(t.to("meta").requires_grad_() for t in operator.example((3, 6)))
    output = operator(tensors, Setting())
    gradients = torch.autograd.grad(output.sum(), tensors)
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert described(gradient) == described(tensor)


# Autograd's modes


def test_nothing_is_saved_where_no_gradient_is_wanted(operator: Operator, device: str) -> None:
    saved: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    plain = operator.example((3, 6), device=device)
    wanting = operator.example((3, 6), device=device, requires_grad=True)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        assert not operator(plain, Setting()).requires_grad
        with torch.no_grad():
            output = operator(wanting, Setting())
            assert not output.requires_grad
            assert output.grad_fn is None
        assert not saved
        assert operator(wanting, Setting()).grad_fn is not None
        assert saved


def test_inference_mode_gives_the_same_bits(operator: Operator, device: str) -> None:
    tensors = operator.example((3, 6), device=device, requires_grad=True)
    with torch.no_grad():
        expected = operator(tensors, Setting())
    with torch.inference_mode():
        actual = operator(tensors, Setting())
        assert actual.is_inference()
        assert torch.equal(actual, expected)


# The same bits


@pytest.mark.usefixtures("keep_threads")
def test_threads_and_repetition_do_not_change_a_bit(operator: Operator) -> None:
    for shape, dtype in itertools.product(((64, 50), (3, 700), (1, 2500)), FLOATS):
        tensors = operator.example(shape, dtype)
        cotangent = torch.randn_like(operator(tensors, Setting()))
        results = []
        for threads in (1, 2, 1, 3):
            torch.set_num_threads(threads)
            gradient = gradients(operator, tensors, Setting(), cotangent)
            results.append([operator(tensors, Setting()), *gradient])
        for other in results[1:]:
            for first, again in zip(results[0], other, strict=True):
                assert torch.equal(first, again)


@pytest.mark.parametrize("dtype", [*FLOATS, torch.bfloat16], ids=str)
@pytest.mark.parametrize("n", [7, 33, 100, 257, 1000, 2500])
def test_equal_values_get_equal_bits(n: int, dtype: torch.dtype, device: str) -> None:
    """In the ranks, and in the gradients where the incoming gradients are equal too."""
    kind = torch.randint(0, n // 3, (2, n), device=device)
    values = torch.randn(n // 3, dtype=torch.float64, device=device).to(dtype)
    weights = torch.randn(n // 3, dtype=torch.float64, device=device).to(dtype)
    for method in ALL_METHODS:
        for strength in (0.1, 1.0, 1e4):
            setting = Setting(strength, method)
            x, g = values[kind], weights[kind]
            for output in (SOFT_RANK((x,), setting), SOFT_RANK_BACKWARD((g, x), setting)):
                for row_kind, row in zip(kind, output, strict=True):
                    representative = torch.empty(n // 3, dtype=dtype, device=device)
                    representative[row_kind] = row
                    assert torch.equal(representative[row_kind], row)


def test_a_row_has_the_same_bits_alone_and_in_a_batch(operator: Operator, device: str) -> None:
    for n in (3, 5, 13, 64, 300):
        tensors = operator.example((7, n), torch.float32, device)
        together = operator(tensors, Setting())
        for row in range(7):
            alone = operator(tuple(tensor[row] for tensor in tensors), Setting())
            assert torch.equal(alone, together[row])


def test_the_loss_and_its_parts_agree_in_every_bit(device: str) -> None:
    """The public loss is its forward, and its gradient is its backward."""
    shape = (3, 40)
    for setting in settings(shape, device):
        tensors = SPEARMAN_LOSS.example(shape, torch.float32, device)
        cotangent = torch.randn(3, device=device)
        expected = SPEARMAN_LOSS_FORWARD(tensors, setting)
        assert torch.equal(SPEARMAN_LOSS(tensors, setting), expected)
        both = gradients(SPEARMAN_LOSS, tensors, setting, cotangent)
        for gradient, (p, t) in zip(both, (tensors, tensors[::-1]), strict=True):
            backward = SPEARMAN_LOSS_BACKWARD((cotangent, p, t), setting)
            assert torch.equal(gradient, backward)
