"""torch.onnx.export to standard operators, and what onnxruntime makes of it."""

from collections.abc import Callable
from pathlib import Path

import oracle
import pytest
import torch
from torch import Tensor, nn

import rank_relax
import rank_relax.onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx.export needs, is missing")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

# torch's exporter calls what torch deprecates.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

inf, nan = torch.inf, torch.nan
DYNAMIC = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
DTYPES = (torch.float64, torch.float32, torch.float16)
RANK_ERROR = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 1e-3}
LOSS_ERROR = {torch.float64: 1e-12, torch.float32: 5e-6, torch.float16: 2e-3}
STRENGTH = 1.3


class EveryCall(nn.Module):
    """What a model may ask for, by a name for each."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduled = rank_relax.SoftRank(torch.tensor(STRENGTH))

    def forward(self, x: Tensor, t: Tensor, mask: Tensor) -> dict[str, Tensor]:
        results = {
            "rank": rank_relax.soft_rank(x, STRENGTH, mask=mask),
            "loss": rank_relax.spearman_loss(x, t, STRENGTH, reduction="none", target_ranks="soft"),
        }
        if x.dtype == torch.float16:  # computed as float32 is
            return results
        return results | {
            "rank gaussian": rank_relax.soft_rank(x, STRENGTH, method="gaussian"),
            "counts": rank_relax.soft_rank(x, STRENGTH, descending=True, normalize=False),
            "loss gaussian": rank_relax.spearman_loss(
                x,
                t,
                STRENGTH,
                method="gaussian",
                mask=mask,
                reduction="none",
                target_ranks="soft",
            ),
            "rank laplace": rank_relax.soft_rank(x, STRENGTH, method="laplace", mask=mask),
            **({} if x.dtype == torch.float64 else self.in_float32(x)),
        }

    def in_float32(self, x: Tensor) -> dict[str, Tensor]:
        """Of which onnxruntime has no float64, as the arctangent, or one dtype is enough."""
        return {
            "rank cauchy": rank_relax.soft_rank(x, STRENGTH, method="cauchy"),
            "rank scheduled": self.scheduled(x),
        }


class EveryTarget(nn.Module):
    """Losses with targets of every kind, and hard ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.default = rank_relax.SpearmanLoss(STRENGTH, reduction="none")
        self.scheduled = rank_relax.SpearmanLoss(torch.tensor(STRENGTH), reduction="none")
        self.scaled = rank_relax.SpearmanLoss(STRENGTH, reduction="none", scale="std")
        self.soft = rank_relax.SpearmanLoss(STRENGTH, reduction="none", target_ranks="soft")

    def forward(
        self, x: Tensor, t: Tensor, integers: Tensor, bools: Tensor, mask: Tensor
    ) -> dict[str, Tensor]:
        results = {
            "loss": self.default(x, t),
            "loss masked": self.default(x, t, mask),
            "loss int64": self.default(x, integers, mask),
            "loss bool": self.default(x, bools, mask),
            "rank": rank_relax.hard_rank(t, mask=mask),
        }
        if x.dtype == torch.float16:
            return results
        options = {"reduction": "none", "target_ranks": "soft", "scale": "std"}
        return results | {
            "loss scaled int64": self.scaled(x, integers, mask),
            "loss scheduled int64": self.scheduled(x, integers),
            "loss soft int64": self.soft(x, integers, mask),
            "loss soft scaled int64": rank_relax.spearman_loss(
                x, integers, STRENGTH, mask=mask, **options
            ),
            "rank descending": rank_relax.hard_rank(x, descending=True, normalize=False),
            "rank int64": rank_relax.hard_rank(integers, mask=mask).to(x.dtype),
            "correlation loss": rank_relax.spearman_correlation(t, integers, mask=mask).to(x.dtype),
        }


def exported(model: nn.Module, arguments: tuple[Tensor, ...], dynamic_shapes: object) -> object:
    """A session of onnxruntime.

    A large graph as it is translated: the exporter's optimizer takes longer than all else, and is
    asked of the smaller graphs of float16 and of the file below.
    """
    program = torch.export.export(model, arguments, dynamic_shapes=dynamic_shapes)
    program = program.run_decompositions(rank_relax.onnx.decompositions())
    translations = rank_relax.onnx.translations()
    model = torch.onnx.export(
        program,
        dynamo=True,
        custom_translation_table=translations,
        optimize=any(tensor.dtype == torch.float16 for tensor in arguments),
        verbose=False,
    ).model_proto
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not model.functions
    return onnxruntime.InferenceSession(model.SerializeToString())


@pytest.fixture(scope="module")
def session() -> Callable[[torch.dtype], object]:
    """Exported once for each dtype, for any batch and length."""
    sessions: dict[torch.dtype, object] = {}

    def of(dtype: torch.dtype) -> object:
        if dtype not in sessions:
            x, t = torch.randn(2, 3, 5).to(dtype)
            sessions[dtype] = exported(EveryCall(), (x, t, x > 0), (DYNAMIC, DYNAMIC, DYNAMIC))
        return sessions[dtype]

    return of


def run(session: object, *arguments: Tensor) -> list[Tensor]:
    feed = {
        given.name: value.numpy()
        for given, value in zip(session.get_inputs(), arguments, strict=True)
    }
    return [torch.from_numpy(result) for result in session.run(None, feed)]


def assert_results(actual: dict[str, Tensor], expected: dict[str, Tensor], x: Tensor) -> None:
    """Within the bounds of the predictions' dtype, by name."""
    for name, here in expected.items():
        error = (LOSS_ERROR if "loss" in name else RANK_ERROR)[x.dtype]
        if name == "counts":
            error = error * x.size(-1)
        assert actual[name].dtype == here.dtype
        torch.testing.assert_close(
            actual[name],
            here,
            rtol=0,
            atol=error,
            equal_nan=True,
            msg=lambda m, n=name: f"{n}: {m}",
        )


def assert_same(session: object, x: Tensor, t: Tensor, mask: Tensor) -> None:
    expected = EveryCall()(x, t, mask)
    actual = dict(zip(expected, run(session, x, t, mask), strict=True))
    assert_results(actual, expected, x)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 5), (1, 40), (6, 2), (4, 1)], ids=str)
def test_onnxruntime_gives_the_ranks_and_losses_of_torch(
    shape: tuple[int, int], dtype: torch.dtype, session: Callable[[torch.dtype], object]
) -> None:
    x, t = (2 * torch.randn(2, *shape)).to(dtype)
    assert_same(session(dtype), x, t, torch.rand(shape) > 0.3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_hard_lists_are_those_of_torch(
    dtype: torch.dtype, session: Callable[[torch.dtype], object]
) -> None:
    x = torch.tensor(
        [
            [nan, 1.0, 2.0, 0.5],
            [inf, -inf, 0.0, inf],
            [3.0, 3.0, 3.0, 3.0],
            [nan, nan, nan, nan],
            [1.0, 2.0, 1.0, 2.0],
            [1e-3, 2e-3, 4e-3, 0.0],
            [6e4, -6e4, 1.0, 2.0],
            [inf, nan, 1.0, 1.0],
        ]
    ).to(dtype)
    t = torch.tensor([1.0, 3.0, 2.0, 0.0], dtype=dtype).expand(8, 4).contiguous()
    for mask in (
        torch.ones(8, 4, dtype=torch.bool),
        torch.zeros(8, 4, dtype=torch.bool),
        torch.tensor([True, True, False, True]).expand(8, 4).contiguous(),
        torch.tensor([False, True, True, True]).expand(8, 4).contiguous(),
    ):
        assert_same(session(dtype), x, t, mask)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_losses_with_targets_of_every_kind_are_those_of_torch(dtype: torch.dtype) -> None:
    x, t = torch.randn(2, 3, 5).to(dtype)
    integers, bools = torch.randint(0, 3, (3, 5)), torch.rand(3, 5) > 0.5
    model = EveryTarget()
    session = exported(model, (x, t, integers, bools, bools.clone()), (DYNAMIC,) * 5)
    large = 2**62
    hard = torch.tensor([1.0, inf, -1.0, nan, -inf, 1.0, 0.0, -0.0, 0.5])
    wide = torch.tensor([2 * large - 1, -2 * large, large, large + 1, 0, 1, 1, -large, 2**53 + 1])
    for t, integers in (
        (torch.randn(4, 9), torch.randint(0, 4, (4, 9))),
        (torch.randint(0, 3, (4, 9)).float(), torch.randint(0, 2**60, (4, 9)) * 2**3),
        (hard.expand(4, 9), wide.expand(4, 9)),
        (torch.ones(4, 9), torch.full((4, 9), -2 * large)),
        (hard.expand(4, 9)[:, 3:4], wide.expand(4, 9)[:, :1]),
    ):
        x, t = torch.randn(t.shape).to(dtype), t.to(dtype).contiguous()
        given = (x, t, integers.contiguous(), torch.rand(t.shape) > 0.5)
        for mask in (torch.rand(t.shape) > 0.3, torch.zeros(t.shape, dtype=torch.bool)):
            expected = model(*given, mask)
            actual = dict(zip(expected, run(session, *given, mask), strict=True))
            assert_results(actual, expected, x)


def test_hard_ranks_of_every_integer_dtype_are_exact() -> None:
    class Model(nn.Module):
        def forward(self, *lists: Tensor) -> tuple[Tensor, ...]:
            return tuple(rank_relax.hard_rank(items, normalize=False) for items in lists)

    lists = []
    for bits in (8, 16, 32, 64):
        for dtype in (getattr(torch, f"int{bits}"), getattr(torch, f"uint{bits}")):
            largest, smallest = torch.iinfo(dtype).max, torch.iinfo(dtype).min
            items = [largest, smallest, 3, largest - 1, largest, 3]
            lists.append(torch.tensor(items, dtype=dtype))
    for items, ranks in zip(lists, run(exported(Model(), (*lists,), None), *lists), strict=True):
        assert ranks.tolist() == [4.5, 0.0, 1.5, 3.0, 4.5, 1.5], items.dtype


def test_the_ranks_are_those_of_the_definition(
    session: Callable[[torch.dtype], object],
) -> None:
    """Beside torch's kernels, the float64 sum over pairs."""
    x, t = torch.randn(2, 4, 9, dtype=torch.float64)
    mask = torch.rand(4, 9) > 0.3
    names = list(EveryCall()(x, t, mask))
    actual = dict(zip(names, run(session(torch.float64), x, t, mask), strict=True))
    for name, setting in (
        ("rank", ("sigmoid", mask)),
        ("rank gaussian", ("gaussian", None)),
        ("rank laplace", ("laplace", mask)),
    ):
        assert (actual[name] - oracle.soft_rank(x, STRENGTH, *setting)).abs().max() <= 1e-12
    for name, setting in (("loss", ("sigmoid", None)), ("loss gaussian", ("gaussian", mask))):
        assert (actual[name] - oracle.spearman_loss(x, t, STRENGTH, *setting)).abs().max() <= 1e-12


def test_a_model_with_weights_is_exported_to_a_file(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), rank_relax.SoftRank(2.0))
    x = torch.randn(4, 3)
    program = torch.export.export(model, (x,))
    program = program.run_decompositions(rank_relax.onnx.decompositions())
    torch.onnx.export(program, dynamo=True, verbose=False).save(tmp_path / "model.onnx")
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (ranks,) = run(session, x)
    torch.testing.assert_close(ranks, model(x), rtol=0, atol=2e-6)


@pytest.mark.parametrize("method", oracle.PROJECTIONS)
@pytest.mark.parametrize(
    "call",
    [
        lambda x, method: rank_relax.soft_rank(x, method=method),
        lambda x, method: rank_relax.spearman_loss(x, x.flip(-1), method=method),
        lambda x, method: rank_relax.torchsort.soft_rank(x, method),
        lambda x, method: rank_relax.torchsort.soft_sort(x, method),
        lambda x, method: torch.ops.rank_relax.soft_sort(x, 1.0, method),
    ],
    ids=["soft_rank", "spearman_loss", "torchsort.soft_rank", "torchsort.soft_sort", "soft_sort"],
)
def test_a_projection_is_refused_in_a_sentence(
    call: Callable[[Tensor, str], Tensor], method: str
) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return call(x, method)

    program = torch.export.export(Model(), (torch.randn(2, 3),))
    with pytest.raises(NotImplementedError, match=f"method '{method}' has no form in standard"):
        program.run_decompositions(rank_relax.onnx.decompositions())


@pytest.mark.parametrize(
    "model",
    [rank_relax.SoftSort(), rank_relax.SoftQuantile(0.3), rank_relax.SoftTopK(2)],
    ids=lambda model: type(model).__name__,
)
def test_what_is_solved_for_is_refused_in_a_sentence(model: nn.Module) -> None:
    program = torch.export.export(model, (torch.randn(2, 3),))
    with pytest.raises(
        NotImplementedError, match="soft sorts, quantiles and top-k masks have no form in standard"
    ):
        program.run_decompositions(rank_relax.onnx.decompositions())
