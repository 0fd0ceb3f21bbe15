"""librank_relax, by the types of its header: the numbers and the sentences of the operators."""

import ctypes
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

REPOSITORY = Path(__file__).resolve().parents[2]
OK, INVALID, UNSUPPORTED = 0, 1, 3
METHODS = ["sigmoid", "gaussian", "cauchy", "laplace", "l2", "kl"]
SMOOTH = METHODS[:-2]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]

ops = torch.ops.rank_relax


class Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class Dtype(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class CTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", Device),
        ("ndim", ctypes.c_int32),
        ("dtype", Dtype),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class COptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("regularization_strength", ctypes.c_double),
        ("method", ctypes.c_char_p),
        ("mask", ctypes.POINTER(CTensor)),
        ("offsets", ctypes.POINTER(CTensor)),
        ("parallel_for", ctypes.c_void_p),
        ("parallel_context", ctypes.c_void_p),
        ("cuda_stream", ctypes.c_void_p),
        ("workspace", ctypes.c_void_p),
        ("workspace_size", ctypes.c_size_t),
    ]


class CPoints(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("points", ctypes.POINTER(CTensor)),
        ("values", ctypes.POINTER(CTensor)),
        ("weights", ctypes.POINTER(CTensor)),
        ("point_offsets", ctypes.POINTER(CTensor)),
        ("value_keys", ctypes.POINTER(CTensor)),
        ("point_keys", ctypes.POINTER(CTensor)),
        ("order", ctypes.c_int64),
    ]


CODES = {
    torch.float64: (2, 64),
    torch.float32: (2, 32),
    torch.float16: (2, 16),
    torch.bfloat16: (4, 16),
    torch.bool: (6, 8),
    torch.uint8: (1, 8),
    torch.int8: (0, 8),
    torch.int16: (0, 16),
    torch.int32: (0, 32),
    torch.int64: (0, 64),
}


def c_tensor(tensor: Tensor | None) -> Any:
    """Borrows the tensor's memory, strides as they are."""
    if tensor is None:
        return None
    tensor = tensor.detach()
    numbers = ctypes.c_int64 * max(1, tensor.dim())
    code, bits = CODES[tensor.dtype]
    result = CTensor(
        tensor.data_ptr(),
        Device(1, 0),
        tensor.dim(),
        Dtype(code, bits, 1),
        numbers(*tensor.shape),
        numbers(*tensor.stride()),
        0,
    )
    result.memory = tensor  # which lives as long as this
    return ctypes.pointer(result)


class Library:
    """The library as a program sees it; raises ValueError with its sentence."""

    def __init__(self, path: Path) -> None:
        self.c = ctypes.CDLL(str(path))
        self.c.rank_relax_last_error.restype = ctypes.c_char_p
        self.c.rank_relax_methods.restype = ctypes.c_char_p
        self.c.rank_relax_version.restype = ctypes.c_uint32
        self.c.spearman_loss_ffi.restype = ctypes.c_double
        self.threads = ctypes.cast(self.c.rank_relax_threads, ctypes.c_void_p)

    def options(
        self,
        strength: float = 1.0,
        method: str = "sigmoid",
        mask: Tensor | None = None,
        offsets: Tensor | None = None,
        threads: bool = False,
    ) -> Any:
        return ctypes.byref(
            COptions(
                ctypes.sizeof(COptions),
                strength,
                method.encode(),
                c_tensor(mask),
                c_tensor(offsets),
                self.threads if threads else None,
            )
        )

    def __call__(self, function: str, *arguments: Any) -> None:
        of_c = [c_tensor(x) if isinstance(x, Tensor) else x for x in arguments]
        status = getattr(self.c, f"rank_relax_{function}")(*of_c)
        if status != OK:
            assert status == INVALID
            raise ValueError(self.c.rank_relax_last_error().decode())


@pytest.fixture(scope="session")
def library() -> Library:
    subprocess.run(["bash", "tests/c/library"], cwd=REPOSITORY, check=True)
    return Library(REPOSITORY / "build" / "c" / "librank_relax.so")


def rows(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(shape, dtype=torch.float64) * 2).to(dtype)


def nasty(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    x = rows(*shape, dtype=dtype)
    x.view(-1)[::7] = torch.inf
    x.view(-1)[3::11] = -torch.inf
    x.view(-1)[5::50] = torch.nan
    return x.round() if x.numel() % 2 else x


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


def test_header_and_package_are_of_one_version(library: Library) -> None:
    version = library.c.rank_relax_version()
    assert (
        metadata.version("rank_relax")
        == f"{version // 10000}.{version // 100 % 100}.{version % 100}"
    )


def test_methods_are_those_of_the_operators(library: Library) -> None:
    names = library.c.rank_relax_methods().decode()
    with pytest.raises(ValueError, match=f"must be one of {names}, got 'none'"):
        ops.soft_rank(rows(3), 1.0, "none")
    with pytest.raises(ValueError, match=f"^soft_rank: method must be one of {names}, got 'none'"):
        library("soft_rank", rows(3), library.options(method="none"), rows(3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_ranks_are_those_of_the_operator(library: Library, method: str, dtype: torch.dtype) -> None:
    for x in (rows(5, 3, 40, dtype=dtype), nasty(4, 51, dtype=dtype), rows(1000, dtype=dtype)):
        mask = torch.rand(x.shape) < 0.8
        ranks = torch.empty_like(x)
        library("soft_rank", x, library.options(3.0, method, mask), ranks)
        same(ranks, ops.soft_rank(x, 3.0, method, mask))
        library("soft_rank", x, library.options(3.0, method, threads=True), ranks)
        same(ranks, ops.soft_rank(x, 3.0, method))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
@pytest.mark.parametrize("method", METHODS)
def test_derivatives_are_those_of_the_operator(library: Library, method: str, order: int) -> None:
    if order > library.c.rank_relax_max_order(method.encode()):
        with pytest.raises(ValueError, match="directions must be at most"):
            derivative(library, rows(4, 9), [rows(4, 9)] * order, method)
        return
    for x in (rows(6, 30), nasty(3, 40, dtype=torch.float32)):
        directions = [torch.randn_like(x) for _ in range(order)]
        ours = derivative(library, x, directions, method)
        same(ours, ops._soft_rank_derivative(directions, x, 2.0, method, None))


def derivative(library: Library, x: Tensor, directions: list[Tensor], method: str) -> Tensor:
    output = torch.empty_like(x)
    pointers = (ctypes.POINTER(CTensor) * max(1, len(directions)))(*map(c_tensor, directions))
    options = library.options(2.0, method)
    library("soft_rank_derivative", x, pointers, len(directions), options, output)
    return output


def test_any_strides_have_the_same_bits(library: Library) -> None:
    x = rows(9, 7, 8).permute(2, 0, 1)[::2]
    mask = (torch.rand(9, 8, 7) < 0.7).permute(1, 0, 2)[::2]
    ranks = torch.empty(x.shape, dtype=x.dtype)
    library("soft_rank", x, library.options(mask=mask), ranks)
    same(ranks, ops.soft_rank(x, 1.0, "sigmoid", mask))
    repeated = rows(1, 20).expand(5, 20)
    ranks = torch.empty(5, 20, dtype=x.dtype)
    library("soft_rank", repeated, library.options(), ranks)
    same(ranks, ops.soft_rank(repeated))


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bool, torch.uint8, torch.int8, torch.int64])
def test_hard_ranks_are_those_of_the_operator(library: Library, dtype: torch.dtype) -> None:
    x = (rows(4, 60) * 3).round().clamp(0, 5).to(dtype)
    mask = torch.rand(4, 60) < 0.8
    for descending in (False, True):
        for normalize in (False, True):
            ranks = torch.empty(4, 60, dtype=torch.float32)
            library("hard_rank", x, descending, normalize, library.options(mask=mask), ranks)
            same(ranks, ops.hard_rank(x, descending, normalize, mask, dtype=torch.float32))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target_ranks", ["hard", "soft"])
def test_spearman_loss_and_gradient_are_those_of_the_operator(
    library: Library, method: str, dtype: torch.dtype, target_ranks: str
) -> None:
    p, t = rows(5, 33, dtype=dtype).requires_grad_(), rows(5, 33, dtype=dtype)
    t.requires_grad_(target_ranks == "soft")
    mask = torch.rand(5, 33) < 0.8
    options = library.options(1.5, method, mask)
    statistics = torch.float64 if dtype == torch.float64 else torch.float32
    loss, weights = torch.empty(5, dtype=dtype), torch.randn(5).to(dtype)
    slopes = [torch.empty(5, 33, dtype=statistics) for _ in range(2)]
    kind = target_ranks.encode()
    of_targets = slopes[1] if target_ranks == "soft" else None
    library("spearman_loss", p, t, kind, options, loss, slopes[0], of_targets)
    expected = ops.spearman_loss(p, t, 1.5, method, mask, target_ranks)
    same(loss, expected.detach())
    differentiated = [p, t] if target_ranks == "soft" else [p]
    gradients = torch.autograd.grad(expected, differentiated, weights)
    for values, slope, gradient in zip(differentiated, slopes, gradients, strict=False):
        ours = torch.empty_like(gradient)
        library("spearman_loss_backward", weights, values, slope, options, ours)
        same(ours, gradient)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sorts_and_products_are_those_of_the_operator(
    library: Library, method: str, dtype: torch.dtype
) -> None:
    x, vector = nasty(4, 40, dtype=dtype), rows(4, 40, dtype=dtype)
    options = library.options(2.0, method)
    projected = method in ("l2", "kl")
    points = torch.empty(4, 40, dtype=torch.int64 if projected else torch.float64)
    densities = torch.empty(4, 40, dtype=torch.int32 if projected else torch.float64)
    values, again = torch.empty_like(x), torch.empty_like(x)
    library("soft_sort", x, options, values, points, densities)
    library("soft_sort", x, options, again, None, None)
    leaf = x.clone().requires_grad_()
    expected = ops.soft_sort(leaf, 2.0, method)
    same(values, expected.detach())
    same(again, values)
    ours = torch.empty_like(x)
    library("soft_sort_product", vector, x, points, densities, 1, options, ours)
    same(ours, torch.autograd.grad(expected, leaf, vector)[0])
    library("soft_sort_product", vector, x, points, densities, 0, options, ours)
    _, tangent = torch.func.jvp(lambda x: ops.soft_sort(x, 2.0, method), (x,), (vector,))
    same(ours, tangent)


@pytest.mark.parametrize("method", SMOOTH)
@pytest.mark.parametrize("dtype", DTYPES)
def test_quantiles_and_products_are_those_of_the_operator(
    library: Library, method: str, dtype: torch.dtype
) -> None:
    x, q = rows(4, 40, dtype=dtype), torch.tensor([0.1, 0.5, 0.93]).double().expand(4, 3)
    options = library.options(2.0, method)
    found, points, densities = (torch.empty(4, 3, dtype=torch.float64) for _ in range(3))
    library("soft_quantile", x, q, options, found, points, densities)
    expected, *_ = ops._soft_quantile_forward(x, q, 2.0, method, None)
    same(found.to(expected.dtype), expected)
    vector, along = torch.randn(4, 3).double(), rows(4, 40, dtype=dtype)
    product, ours = torch.empty_like(x), torch.empty(4, 3, dtype=torch.float64)
    library("soft_quantile_product", vector, x, points, densities, 1, options, product)
    library("soft_quantile_product", along, x, points, densities, 0, options, ours)
    function = lambda x: ops._soft_quantile_forward(x, q, 2.0, method, None)[0]  # noqa: E731
    leaf = x.clone().requires_grad_()
    output = function(leaf)
    grad = vector.to(output.dtype)
    library("soft_quantile_product", grad.double(), x, points, densities, 1, options, product)
    same(product, torch.autograd.grad(output, leaf, grad)[0])
    same(ours.to(output.dtype), torch.func.jvp(function, (x,), (along,))[1].to(output.dtype))


@pytest.mark.parametrize("method", SMOOTH)
@pytest.mark.parametrize("dtype", DTYPES)
def test_top_k_masks_and_products_are_those_of_the_operator(
    library: Library, method: str, dtype: torch.dtype
) -> None:
    x, vector = rows(4, 40, dtype=dtype), rows(4, 40, dtype=dtype)
    k = torch.tensor([1.0, 3.5, 7.0, 40.0]).double()
    options = library.options(2.0, method)
    chosen, densities = torch.empty_like(x), torch.empty(4, 40, dtype=torch.float64)
    library("soft_topk", x, k, options, chosen, densities)
    leaf = x.clone().requires_grad_()
    expected = ops.soft_topk(leaf, k, 2.0, method)
    same(chosen, expected.detach())
    ours = torch.empty_like(x)
    library("soft_topk_product", vector, densities, options, ours)
    same(ours, torch.autograd.grad(expected, leaf, vector)[0])
    library("soft_topk", x, torch.tensor(3.0).double(), options, chosen, None)
    same(chosen, ops.soft_topk(x, torch.tensor(3.0).double(), 2.0, method))


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("order", [-1, 0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_counts_are_those_of_the_operator(
    library: Library, dtype: torch.dtype, order: int, keyed: bool
) -> None:
    t, x, w = rows(2, 17, dtype=dtype), rows(2, 60, dtype=dtype), rows(2, 3, 60, dtype=dtype)
    mask = torch.rand(2, 60) < 0.8
    keys = [torch.randint(4, s) if keyed else None for s in ((2, 60), (2, 17))]
    output = torch.empty(2, 3, 17, dtype=dtype)
    size = ctypes.sizeof(CPoints)
    given = CPoints(size, c_tensor(t), c_tensor(x), c_tensor(w), None, *map(c_tensor, keys), order)
    library("soft_count", ctypes.byref(given), library.options(2.0, mask=mask), output)
    same(output, ops.soft_count(t, x, w, 2.0, "sigmoid", mask, order, None, None, *keys))


@pytest.mark.parametrize("lengths", [[5, 0, 1, 30, 2], [70_000, 3, 66_000], [0, 0], [4]])
def test_lists_behind_one_another_are_each_as_alone(library: Library, lengths: list[int]) -> None:
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    n = int(offsets[-1])
    p, t, mask = rows(n, dtype=torch.float32), rows(n, dtype=torch.float32), torch.rand(n) < 0.9
    options = library.options(4.0, "sigmoid", mask, offsets, threads=True)
    ranks, values, chosen, slopes = (torch.empty_like(p) for _ in range(4))
    loss, gradient = torch.empty(len(lengths)), torch.empty_like(p)
    library("soft_rank", p, options, ranks)
    library("soft_sort", p, options, values, None, None)
    k = torch.full((len(lengths),), 2.0).double()
    library("soft_topk", p, k, options, chosen, None)
    library("spearman_loss", p, t, b"hard", options, loss, slopes, None)
    library("spearman_loss_backward", torch.ones_like(loss), p, slopes, options, gradient)
    q = torch.full((len(lengths), 1), 0.5).double()
    found = torch.empty_like(q)
    library("soft_quantile", p, q, options, found, None, None)
    for i, length in enumerate(lengths):
        part = slice(int(offsets[i]), int(offsets[i]) + length)
        leaf = p[part].clone().requires_grad_()
        same(ranks[part], ops.soft_rank(p[part], 4.0, "sigmoid", mask[part]))
        same(values[part], ops.soft_sort(p[part], 4.0, "sigmoid", mask[part]))
        same(chosen[part], ops.soft_topk(p[part], k[i], 4.0, "sigmoid", mask[part]))
        expected = ops.spearman_loss(leaf, t[part], 4.0, "sigmoid", mask[part])
        same(loss[i], expected.detach())
        if length > 0:
            same(gradient[part], torch.autograd.grad(expected, leaf)[0])
            of_torch = ops._soft_quantile_forward(p[part], q[i], 4.0, "sigmoid", mask[part])[0]
            same(found[i].float(), of_torch)
        else:
            assert found[i].isnan()


def test_offsets_of_points_alone_are_refused(library: Library) -> None:
    x = rows(4)
    size, given, ends = ctypes.sizeof(CPoints), c_tensor(x), c_tensor(torch.tensor([0, 4]))
    of = CPoints(size, given, given, None, ends, None, None, 0)
    for options in (None, library.options()):
        with pytest.raises(ValueError, match="point_offsets cut points into lists, so values need"):
            library("soft_count", ctypes.byref(of), options, rows(4))


def test_counts_of_lists_behind_one_another(library: Library) -> None:
    offsets, point_offsets = torch.tensor([0, 40, 40, 100]), torch.tensor([0, 3, 9, 20])
    t, x = rows(20), rows(100)
    output = torch.empty(20, dtype=torch.float64)
    size, none = ctypes.sizeof(CPoints), [None] * 2
    given = CPoints(size, c_tensor(t), c_tensor(x), None, c_tensor(point_offsets), *none, 0)
    library("soft_count", ctypes.byref(given), library.options(2.0, offsets=offsets), output)
    of = ops.soft_count
    same(output, of(t, x, None, 2.0, "sigmoid", None, 0, offsets, point_offsets))


def wrong(library: Library, what: str) -> tuple[Any, Any]:
    """A call of the library and one of the operator that are wrong in the same way."""
    x, out = rows(2, 5), rows(2, 5)
    options = library.options
    calls: dict[str, tuple[Any, Any]] = {
        "strength": (
            lambda: library("soft_rank", x, options(0.0), out),
            lambda: ops.soft_rank(x, 0.0),
        ),
        "method": (
            lambda: library("soft_sort", x, options(method="x"), out, None, None),
            lambda: ops.soft_sort(x, 1.0, "x"),
        ),
        "dtype": (
            lambda: library("soft_rank", x.long(), options(), out),
            lambda: ops.soft_rank(x.long()),
        ),
        "no dimension": (
            lambda: library("soft_rank", x[0, 0], options(), out),
            lambda: ops.soft_rank(x[0, 0]),
        ),
        "mask dtype": (
            lambda: library("soft_rank", x, options(mask=x.long()), out),
            lambda: ops.soft_rank(x, 1.0, "sigmoid", x.long()),
        ),
        "mask shape": (
            lambda: library("soft_rank", x, options(mask=x[0] > 0), out),
            lambda: ops.soft_rank(x, 1.0, "sigmoid", x[0] > 0),
        ),
        "target ranks": (
            lambda: library("spearman_loss", x, x, b"firm", options(), out[0, :2], None, None),
            lambda: ops.spearman_loss(x, x, 1.0, "sigmoid", None, "firm"),
        ),
        "targets": (
            lambda: library("spearman_loss", x, x[:1], b"soft", options(), out[0, :2], None, None),
            lambda: ops.spearman_loss(x, x[:1], 1.0, "sigmoid", None, "soft"),
        ),
        "k": (
            lambda: library("soft_topk", x, x[0, :3], options(), out, None),
            lambda: ops.soft_topk(x, x[0, :3]),
        ),
        "no items": (
            lambda: library("soft_quantile", x[:, :0], x, options(), out, None, None),
            lambda: ops.soft_quantile(x[:, :0], x[0]),
        ),
        "order": (
            lambda: library("soft_count", points(x, order=17), options(), out),
            lambda: ops.soft_count(x, x, None, 1.0, "sigmoid", None, 17),
        ),
        "ends": (
            lambda: library(
                "soft_count", points(x[0]), options(offsets=torch.tensor([0, 6, 5])), out[0]
            ),
            lambda: ops.soft_count(
                x[0], x[0], None, 1.0, "sigmoid", None, 0, torch.tensor([0, 6, 5])
            ),
        ),
    }
    return calls[what]


def points(x: Tensor, order: int = 0) -> Any:
    size, given = ctypes.sizeof(CPoints), c_tensor(x)
    return ctypes.byref(CPoints(size, given, given, None, None, None, None, order))


@pytest.mark.parametrize(
    "what",
    [
        "strength",
        "method",
        "dtype",
        "no dimension",
        "mask dtype",
        "mask shape",
        "target ranks",
        "targets",
        "k",
        "no items",
        "order",
        "ends",
    ],
)
def test_sentences_are_those_of_the_operators(library: Library, what: str) -> None:
    of_c, of_torch = wrong(library, what)
    with pytest.raises(ValueError) as ours:  # noqa: PT011
        of_c()
    with pytest.raises((ValueError, TypeError)) as theirs:
        of_torch()
    # What to do with a tensor of torch stands behind it.
    assert f"{theirs.value};".startswith(f"{ours.value};")


def test_the_program_of_the_page_prints_what_it_says(library: Library, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "c.md").read_text()
    program, output = (page.split(f"```{kind}\n")[1].split("```")[0] for kind in ("c", "text"))
    source, executable = tmp_path / "page.c", tmp_path / "page"
    source.write_text(program)
    build = REPOSITORY / "build" / "c"
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", "csrc/c/include", source]
    libraries = ["-L", build, "-lrank_relax", f"-Wl,-rpath,{build}", "-o", executable]
    subprocess.run([*command, *libraries], cwd=REPOSITORY, check=True)
    said = subprocess.run([executable], check=True, capture_output=True, text=True)
    assert said.stdout == output
