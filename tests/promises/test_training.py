"""What a training loop does with the operators: modes, hooks, threads, modules, optimizers."""

import copy
import io
import math
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from operators import Operator, Setting, random_mask
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

import rank_relax

HALVES = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)


def gradients_of(function: Callable[[], Tensor], leaves: list[Tensor]) -> list[Tensor]:
    return list(torch.autograd.grad(function().sum(), leaves))


def assert_equal(actual: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(actual, expected, strict=True):
        assert torch.equal(one, other)


class TestAutocast:
    @HALVES
    def test_ranks_and_losses_are_float32(self, half: torch.dtype) -> None:
        x, t = torch.randn(2, 3, 8).to(half)
        for given in (torch.float16, torch.bfloat16):
            with torch.autocast("cpu", dtype=given):
                rank, loss = rank_relax.soft_rank(x), rank_relax.spearman_loss(x, t)
            assert rank.dtype == loss.dtype == torch.float32
            assert torch.equal(rank, rank_relax.soft_rank(x.float()))
            assert torch.equal(loss, rank_relax.spearman_loss(x.float(), t.float()))

    @HALVES
    def test_options_that_work_in_python_are_float32_too(self, half: torch.dtype) -> None:
        x, t = torch.randn(2, 3, 8).to(half)
        strength = torch.tensor(2.0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            results = (
                rank_relax.soft_rank(x, strength),
                rank_relax.soft_rank(x, scale="std"),
                rank_relax.soft_rank(x, normalize=False),
                rank_relax.spearman_loss(x, t, strength),
                rank_relax.spearman_loss(x, t, scale="std"),
                rank_relax.spearman_loss(x, torch.arange(8).expand(3, 8)),
            )
        assert {result.dtype for result in results} == {torch.float32}

    def test_float64_stays_float64(self) -> None:
        x, t = torch.randn(2, 3, 8, dtype=torch.float64)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert rank_relax.soft_rank(x).dtype == torch.float64
            assert rank_relax.spearman_loss(x, t).dtype == torch.float64

    @HALVES
    def test_gradients_come_back_in_the_dtype_of_the_leaf(self, half: torch.dtype) -> None:
        x, t = torch.randn(3, 8).to(half).requires_grad_(), torch.randn(3, 8)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = rank_relax.spearman_loss(x, t)
        (gradient,) = torch.autograd.grad(loss, x)
        exact = x.detach().float().requires_grad_()
        (expected,) = torch.autograd.grad(rank_relax.spearman_loss(exact, t), exact)
        assert gradient.dtype == half
        assert torch.equal(gradient, expected.to(half))

    def test_a_model_under_autocast_trains(self) -> None:
        model = nn.Linear(4, 1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = model(torch.randn(3, 8, 4))[..., 0]
            assert scores.dtype == torch.bfloat16
            rank_relax.spearman_loss(scores, torch.randn(3, 8)).backward()
        assert model.weight.grad is not None
        assert model.weight.grad.abs().max() > 0


# Made of other operators, always or where they are differentiated, whose nodes save what they do.
COMPOSITES = (
    "_spearman_loss_backward",
    "_spearman_loss_at_ranks_backward",
    "_quantile_sort_backward",
    "_quantile_sort_tangent",
    "_soft_quantile_backward",
    "_soft_quantile_tangent",
    "_soft_topk_backward",
    "_quantile_at_levels_backward",
    "_quantile_at_levels_tangent",
)


class TestAutogradsTools:
    def test_checkpointing_gives_the_same_gradients(self, operator: Operator) -> None:
        leaves = operator.example((3, 6), requires_grad=True)
        setting = Setting(1.3, "gaussian", random_mask((3, 6)))

        def call(*tensors: Tensor) -> Tensor:
            return operator(tensors, setting)

        expected = gradients_of(lambda: call(*leaves), list(leaves))
        for use_reentrant in (False, True):
            for leaf in leaves:
                leaf.grad = None
            # The reentrant kind works with .backward() alone.
            checkpoint(call, *leaves, use_reentrant=use_reentrant).sum().backward()
            actual = [leaf.grad for leaf in leaves if leaf.grad is not None]
            assert_equal(actual, expected)

    def test_saved_tensors_may_be_packed_and_moved(self, operator: Operator) -> None:
        leaves = operator.example((3, 6), requires_grad=True)
        setting = Setting(1.3, "gaussian", random_mask((3, 6)))
        expected = gradients_of(lambda: operator(leaves, setting), list(leaves))

        def pack(tensor: Tensor) -> bytes:
            buffer = io.BytesIO()
            torch.save(tensor.detach(), buffer)
            return buffer.getvalue()

        def unpack(packed: bytes) -> Tensor:
            tensor: Tensor = torch.load(io.BytesIO(packed))
            return tensor

        for hooks in (saved_tensors_hooks(pack, unpack), save_on_cpu()):
            with hooks:
                output = operator(leaves, setting)
            assert_equal(list(torch.autograd.grad(output.sum(), leaves)), expected)

    def test_what_is_saved_is_the_inputs_and_what_the_forward_hands_on(
        self, operator: Operator
    ) -> None:
        """Memory grows by no more than that."""
        leaves = operator.example((3, 6), requires_grad=True)
        saved: list[int] = []

        def pack(tensor: Tensor) -> Tensor:
            saved.append(tensor.numel())
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            operator(leaves, Setting())
        if operator.name in COMPOSITES:
            return  # it saves what its parts do
        by_projection = "[l2]" in operator.name or "[kl]" in operator.name
        # Ranks of both sides; a permutation and blocks; points and densities; blocks.
        two = "spearman" in operator.name or "_sort" in operator.name
        handed_on = 2 * 18 if two else 18 if by_projection else 0
        if operator.name == "_quantile_at_levels":
            handed_on = 2 * operator(leaves, Setting()).numel()  # levels and points
        elif "soft_quantile" in operator.name:
            handed_on = 3 * operator(leaves, Setting()).numel()  # q, points and densities
        elif "_topk" in operator.name:
            handed_on = 3 + 18  # k and densities
        assert sum(saved) == sum(leaf.numel() for leaf in leaves) + handed_on

    def test_a_gradient_penalty_trains(self, operator: Operator) -> None:
        """create_graph: the gradient's own gradient reaches every leaf."""
        leaves = operator.example((3, 6), requires_grad=True)
        # At a strength that leaves no soft sort a hard one.
        setting = Setting(0.3 if "_sort" in operator.name else 1.3)
        value = operator(leaves, setting).square().sum()
        first = torch.autograd.grad(value, leaves, create_graph=True)
        sum((gradient.square().sum() for gradient in first), torch.zeros(())).backward()
        for name, leaf in zip(operator.tensors, leaves, strict=True):
            assert leaf.grad is not None
            assert leaf.grad.isfinite().all()
            assert (leaf.grad.abs().max() > 0) == (name not in operator.flat_in)

    @pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
    def test_anomaly_mode_finds_a_nan_and_otherwise_nothing(self, operator: Operator) -> None:
        leaves = operator.example((3, 6), requires_grad=True)
        with torch.autograd.detect_anomaly():
            gradients_of(lambda: operator(leaves, Setting()), list(leaves))
        x = torch.tensor([1.0, torch.nan, 2.0], requires_grad=True)
        with torch.autograd.detect_anomaly():
            rank = rank_relax.soft_rank(x)
            with (
                pytest.warns(UserWarning, match="SoftRankBackward"),
                pytest.raises(RuntimeError, match=r"SoftRankBackward.*nan"),
            ):
                rank.sum().backward()

    def test_a_graph_serves_once_unless_it_is_retained(self, operator: Operator) -> None:
        leaves = operator.example((3, 6), requires_grad=True)
        output = operator(leaves, Setting()).sum()
        first = torch.autograd.grad(output, leaves, retain_graph=True)
        assert_equal(list(torch.autograd.grad(output, leaves)), list(first))
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            torch.autograd.grad(output, leaves)

    def test_an_input_changed_in_place_after_the_forward_is_found_out(
        self, operator: Operator
    ) -> None:
        leaves = operator.example((3, 6), requires_grad=True)
        copies = tuple(leaf.clone() for leaf in leaves)
        expected = torch.autograd.grad(operator(copies, Setting()).sum(), leaves)
        output = operator(copies, Setting()).sum()
        with torch.no_grad():
            copies[-1].add_(1)
        if operator.name in (
            "_spearman_loss_backward",
            "_spearman_loss_at_ranks_backward",
            "_soft_quantile_backward",
            "_soft_quantile_tangent",
            "_soft_topk_backward",
        ):
            # A composite where it is differentiated, which saves what it has computed.
            assert_equal(list(torch.autograd.grad(output, leaves)), list(expected))
        else:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                torch.autograd.grad(output, leaves)

    def test_an_inference_tensor_cannot_be_saved_outside_as_of_torchs_own_operators(
        self, operator: Operator
    ) -> None:
        with torch.inference_mode():
            inference = operator.example((3, 6))
        # Where nothing requires a gradient nothing is saved, and it works.
        assert not operator(inference, Setting()).requires_grad
        if len(operator.tensors) == 1 or operator.name in COMPOSITES:
            return  # there is no other tensor that could require one; a composite saves its own
        leaf = operator.example((3, 6), requires_grad=True)[0]
        for function in (torch.mul, lambda *pair: operator((*pair, *inference[2:]), Setting())):
            with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backw"):
                function(leaf, inference[1])

    def test_hooks_on_the_nodes_of_the_graph_see_its_names(self) -> None:
        x = torch.randn(3, 6, requires_grad=True)
        rank = torch.ops.rank_relax.soft_rank(x)
        loss = torch.ops.rank_relax.spearman_loss(x, x.detach(), target_ranks="soft")
        assert rank.grad_fn is not None
        assert loss.grad_fn is not None
        assert rank.grad_fn.name() == "SoftRankBackward"
        assert loss.grad_fn.name() == "SpearmanLossBackward"
        seen: list[Tensor] = []
        rank.grad_fn.register_hook(lambda inputs, outputs: seen.append(outputs[0]))
        rank.sum().backward()
        assert len(seen) == 1


def test_many_python_threads_at_once_give_what_one_gives() -> None:
    inputs = [(torch.randn(5, 40 + 7 * i), torch.randn(5, 40 + 7 * i)) for i in range(8)]

    def work(p: Tensor, t: Tensor) -> list[Tensor]:
        p, t = p.clone().requires_grad_(), t.clone().requires_grad_()
        loss = rank_relax.spearman_loss(p, t, target_ranks="soft")
        loss = loss + rank_relax.soft_rank(p, 3.0).square().mean()
        return [loss.detach(), *torch.autograd.grad(loss, (p, t))]

    expected = [work(*pair) for pair in inputs]
    results: list[list[list[Tensor]]] = [[] for _ in inputs]
    barrier = threading.Barrier(len(inputs))

    def run(index: int) -> None:
        barrier.wait()
        for _ in range(10):
            results[index].append(work(*inputs[index]))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found, reference in zip(results, expected, strict=True):
        assert len(found) == 10
        for one in found:
            assert_equal(one, reference)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="Linux tells what a thread ran")
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_run_on_as_many_threads_as_torch_was_told(threads: int, tmp_path: Path) -> None:
    """The processor time of all threads but the first, in a process of their own."""
    program = f"""
import os
import torch, rank_relax
torch.set_num_threads({threads})
def ticks():
    others = set(os.listdir("/proc/self/task")) - {{str(os.getpid())}}
    stats = [open(f"/proc/self/task/{{other}}/stat").read() for other in others]
    return sum(int(stat.rpartition(")")[2].split()[11]) for stat in stats)
x = torch.randn(2000, 1000)
before = ticks()
for _ in range(100):  # a tick is 10 ms
    rank_relax.soft_rank(x)
print(ticks() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,  # not where an uncompiled package may lie
        text=True,
        capture_output=True,
        check=True,
    )
    assert (int(result.stdout) > 0) == (threads > 1)


def test_another_thread_that_writes_to_the_input_breaks_nothing() -> None:
    """The numbers are then anything; the memory is not: an item's kind is read once."""
    x = torch.randn(4, 3000)
    shared = x.numpy()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            shared[:] = math.nan
            shared[:] = 1.0

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            gradient = torch.ops.rank_relax.soft_rank_backward(torch.ones_like(x), x)
            assert gradient.shape == x.shape
    finally:
        stop.set()
        writer.join()


def test_threads_may_share_one_graph() -> None:
    """Backward of one retained graph from many threads, as torch's own nodes allow."""
    x = torch.randn(5, 50, requires_grad=True)
    loss = rank_relax.spearman_loss(x, torch.randn(5, 50))
    (expected,) = torch.autograd.grad(loss, x, retain_graph=True)
    found: list[Tensor] = []

    def run() -> None:
        for _ in range(20):
            found.extend(torch.autograd.grad(loss, x, retain_graph=True))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert all(torch.equal(gradient, expected) for gradient in found)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "SoftRank": lambda: rank_relax.SoftRank(2.5, method="gaussian", dim=0, descending=True),
    "SpearmanLoss": lambda: rank_relax.SpearmanLoss(2.5, method="gaussian", reduction="none"),
    "SoftRank with a tensor": lambda: rank_relax.SoftRank(torch.tensor(2.5), scale="std"),
    "SpearmanLoss with a tensor": lambda: rank_relax.SpearmanLoss(torch.tensor(2.5)),
    "SoftRank with a parameter": lambda: rank_relax.SoftRank(nn.Parameter(torch.tensor(2.5))),
    "SpearmanLoss with a parameter": lambda: rank_relax.SpearmanLoss(
        nn.Parameter(torch.tensor(2.5)), scale="std"
    ),
}


@pytest.mark.parametrize("name", MODULES)
class TestModules:
    def call(self, module: nn.Module) -> Tensor:
        inputs = torch.linspace(-2, 3, 24).sin().view(2, 3, 4)
        output: Tensor = module(*inputs[: 2 if isinstance(module, rank_relax.SpearmanLoss) else 1])
        return output.detach()

    def test_copies_and_pickles_are_the_same_module(self, name: str) -> None:
        module = MODULES[name]()
        for twin in (
            copy.deepcopy(module),
            copy.copy(module),
            pickle.loads(pickle.dumps(module)),
        ):
            assert torch.equal(self.call(twin), self.call(module))
            assert repr(twin) == repr(module)

    def test_its_repr_says_its_strength_and_method(self, name: str) -> None:
        text = repr(MODULES[name]())
        assert text.startswith(name.partition(" ")[0] + "(")
        assert "2.5" in text
        assert ("gaussian" if "with" not in name else "sigmoid") in text
        assert "\n" not in text

    def test_its_state_is_the_strength_that_is_a_tensor(self, name: str) -> None:
        module = MODULES[name]()
        state = module.state_dict()
        assert list(state) == (["regularization_strength"] if "with" in name else [])
        assert len(list(module.parameters())) == ("parameter" in name)
        if state:
            other = MODULES[name]()
            with torch.no_grad():
                other.regularization_strength.fill_(0.1)
            assert not torch.equal(self.call(other), self.call(module))
            other.load_state_dict(state)
            assert torch.equal(self.call(other), self.call(module))

    def test_a_changed_strength_counts_from_the_next_call(self, name: str) -> None:
        module = MODULES[name]()
        before = self.call(module)
        if "with" in name:
            with torch.no_grad():
                module.regularization_strength.fill_(0.25)
        else:
            module.regularization_strength = 0.25
        assert not torch.equal(self.call(module), before)
        assert "0.25" in repr(module)

    def test_it_moves_to_another_dtype(self, name: str) -> None:
        module = MODULES[name]().double()
        count = 2 if isinstance(module, rank_relax.SpearmanLoss) else 1
        assert module(*torch.randn(count, 3, 4, dtype=torch.float64)).dtype == torch.float64


def test_a_model_learns_an_order() -> None:
    """From noise to a correlation above 0.9 with what is linear in the features, in other units."""
    x = torch.randn(4, 32, 5)
    t = 100 * (x @ torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0]))
    model = nn.Linear(5, 1)
    criterion = rank_relax.SpearmanLoss(4.0, scale="std")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = criterion(model(x)[..., 0], t)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.3
    assert losses[-1] < 0.1


def test_a_learnable_strength_learns() -> None:
    """The strength of a teacher is found from its soft ranks, by gradient descent."""
    x = torch.randn(8, 20)
    teacher = rank_relax.soft_rank(x, 2.0)
    student = rank_relax.SoftRank(nn.Parameter(torch.tensor(0.5)))
    optimizer = torch.optim.Adam(student.parameters(), lr=0.3)
    for _ in range(200):
        optimizer.zero_grad()
        (student(x) - teacher).square().mean().backward()
        optimizer.step()
    # Converged Adam: far less than its step.
    assert student.regularization_strength.item() == pytest.approx(2.0, abs=0.02)


def test_gradients_accumulate_over_calls() -> None:
    x, t = torch.randn(2, 3, 8)
    leaf = x.clone().requires_grad_()
    (once,) = torch.autograd.grad(rank_relax.spearman_loss(leaf, t), leaf)
    for _ in range(3):
        rank_relax.spearman_loss(leaf, t).backward()
    # Two additions in float32.
    assert leaf.grad is not None
    assert (leaf.grad - 3 * once).abs().max() <= 1e-6 * once.abs().max()
