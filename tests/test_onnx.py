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
            "loss": rank_relax.spearman_loss(x, t, STRENGTH, reduction="none"),
        }
        if x.dtype == torch.float16:  # computed as float32 is
            return results
        return results | {
            "rank gaussian": rank_relax.soft_rank(x, STRENGTH, method="gaussian"),
            "counts": rank_relax.soft_rank(x, STRENGTH, descending=True, normalize=False),
            "rank scheduled": self.scheduled(x),
            "loss gaussian": rank_relax.spearman_loss(
                x, t, STRENGTH, method="gaussian", mask=mask, reduction="none"
            ),
        }


def exported(model: nn.Module, arguments: tuple[Tensor, ...], dynamic_shapes: object) -> object:
    """A session of onnxruntime."""
    program = torch.export.export(model, arguments, dynamic_shapes=dynamic_shapes)
    program = program.run_decompositions(rank_relax.onnx.decompositions())
    translations = rank_relax.onnx.translations()
    model = torch.onnx.export(
        program, dynamo=True, custom_translation_table=translations, verbose=False
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


def assert_same(session: object, x: Tensor, t: Tensor, mask: Tensor) -> None:
    expected = EveryCall()(x, t, mask)
    actual = dict(zip(expected, run(session, x, t, mask), strict=True))
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


def test_the_ranks_are_those_of_the_definition(
    session: Callable[[torch.dtype], object],
) -> None:
    """Beside torch's kernels, the float64 sum over pairs."""
    x, t = torch.randn(2, 4, 9, dtype=torch.float64)
    mask = torch.rand(4, 9) > 0.3
    names = list(EveryCall()(x, t, mask))
    actual = dict(zip(names, run(session(torch.float64), x, t, mask), strict=True))
    for name, setting in (("rank", ("sigmoid", mask)), ("rank gaussian", ("gaussian", None))):
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
