"""rank-relax-tch without tch: its source against a stand-in, on tensors of this process's torch."""

import ctypes
import gc
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rank_relax

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "csrc" / "rust" / "rank-relax-tch" / "src"
HERE = Path(__file__).parent / "tch"
LIBTORCH = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"

RUSTC = shutil.which("rustc")

pytestmark = pytest.mark.skipif(RUSTC is None, reason="the crate has to be compiled, with rustc")

of_capsule = ctypes.pythonapi.PyCapsule_GetPointer
of_capsule.restype = ctypes.c_void_p
of_capsule.argtypes = [ctypes.py_object, ctypes.c_char_p]
name_of = ctypes.pythonapi.PyCapsule_GetName
name_of.restype = ctypes.c_char_p
name_of.argtypes = [ctypes.py_object]
capsule = ctypes.pythonapi.PyCapsule_New
capsule.restype = ctypes.py_object
capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class Crate:
    """The crate's functions on torch's tensors."""

    def __init__(self, path: Path) -> None:
        self.libtorch = ctypes.CDLL(str(LIBTORCH), mode=ctypes.RTLD_GLOBAL)
        self.c = ctypes.CDLL(str(path))
        self.c.soft_rank.restype = self.c.spearman_loss.restype = ctypes.c_void_p
        self.c.load.restype = ctypes.c_bool

    def __call__(self, function: str, tensors: list[Tensor], *options: float | str) -> Tensor:
        capsules = torch._C._aoti.unsafe_alloc_void_ptrs_from_tensors(tensors)
        handles = [ctypes.c_void_p(of_capsule(one, name_of(one))) for one in capsules]
        error = ctypes.create_string_buffer(1024)
        arguments = [
            option.encode() if isinstance(option, str) else ctypes.c_double(option)
            for option in options
        ]
        result = getattr(self.c, function)(*handles, *arguments, error)
        for handle in handles:
            self.libtorch.aoti_torch_delete_tensor_object(handle)
        if result is None:
            raise ValueError(error.value.decode())
        stolen = capsule(result, name_of(capsules[0]), None)
        return torch._C._aoti.alloc_tensor_by_stealing_from_void_ptr(stolen)


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Crate:
    return compiled(SOURCE, tmp_path_factory.mktemp("tch"))


def compiled(folder: Path, build: Path) -> Crate:
    source = folder / "lib.rs"
    library = ["--edition=2021", "-L", build, "--crate-type", "rlib", "--crate-name"]
    used = ["--extern", "tch", "--extern", "rank_relax_tch"]
    for command in (
        [*library, "tch", "-A", "non_camel_case_types", HERE / "stand_in.rs"],
        [*library, "rank_relax_tch", "-D", "warnings", source, "--extern", "tch"],
        ["--edition=2021", "-L", build, "--crate-type", "cdylib", HERE / "calls.rs", *used],
    ):
        subprocess.run(["rustc", "--out-dir", build, *command], check=True)
    return Crate(build / "libcalls.so")


@pytest.mark.slow
def test_gradients_are_those_of_python(crate: Crate) -> None:
    torch.manual_seed(0)
    targets = torch.randn(3, 50)
    for target_ranks in ("hard", "soft"):
        theirs = torch.randn(3, 50, requires_grad=True)
        ours = theirs.detach().clone().requires_grad_()
        loss = crate("spearman_loss", [ours, targets], 2.5, "gaussian", target_ranks)
        expected = torch.ops.rank_relax.spearman_loss(
            theirs, targets, 2.5, "gaussian", target_ranks=target_ranks
        )
        assert torch.equal(loss, expected)
        loss.sum().backward()
        expected.sum().backward()
        assert torch.equal(ours.grad, theirs.grad)
    x = torch.randn(3, 50, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(
        lambda x: crate("soft_rank", [x], 1.5, "sigmoid"), x[:, :5].detach().requires_grad_()
    )
    assert torch.equal(
        crate("soft_rank", [x], 1.5, "l2"), rank_relax.soft_rank(x, 1.5, method="l2")
    )


@pytest.mark.slow
def test_errors_are_the_sentences_of_the_operators(crate: Crate) -> None:
    x = torch.randn(4)
    with pytest.raises(ValueError, match="regularization_strength must be positive and finite"):
        crate("soft_rank", [x], -1.0, "sigmoid")
    with pytest.raises(ValueError, match="targets must have the shape of predictions"):
        crate("spearman_loss", [x, x[:3]], 1.0, "sigmoid", "hard")


@pytest.mark.slow
def test_no_call_keeps_a_tensor(crate: Crate) -> None:
    x = torch.randn(64)
    count = x._use_count()
    for method in ("sigmoid", "nonsense"):
        try:
            crate("soft_rank", [x], 1.0, method)
        except ValueError:
            assert method == "nonsense"
    gc.collect()
    assert x._use_count() == count


@pytest.mark.slow
def test_operators_that_are_not_registered_are_an_error_that_keeps_nothing(tmp_path: Path) -> None:
    for file in SOURCE.iterdir():
        text = file.read_text().replace('c"rank_relax::', 'c"not_rank_relax::')
        (tmp_path / file.name).write_text(text)
    crate = compiled(tmp_path, tmp_path)
    x = torch.randn(64)
    count = x._use_count()
    for function, tensors, options in (
        ("soft_rank", [x], (1.0, "sigmoid")),
        ("spearman_loss", [x, x], (1.0, "sigmoid", "hard")),
    ):
        with pytest.raises(ValueError, match="not loaded, call load first"):
            crate(function, tensors, *options)
    assert x._use_count() == count


@pytest.mark.slow
def test_the_library_of_the_operators_is_loaded_by_its_path(crate: Crate) -> None:
    (library,) = Path(rank_relax.__file__).parent.glob("_C*.so")
    assert crate.c.load(str(library).encode())
    assert not crate.c.load(b"/nowhere/_C.abi3.so")
