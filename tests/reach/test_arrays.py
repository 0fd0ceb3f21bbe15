"""Arrays of other libraries enter and leave through DLPack: the same memory, never a copy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import rank_relax


def numpy_array(values: np.ndarray) -> Any:
    return values


def jax_array(values: np.ndarray) -> Any:
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    return jnp.asarray(values.astype(np.float32))


def cupy_array(values: np.ndarray) -> Any:
    cupy = pytest.importorskip("cupy", reason="cupy is not installed")
    if cupy.cuda.runtime.getDeviceCount() == 0 or not torch.cuda.is_available():
        pytest.skip(reason="cupy has no GPU here that torch shares")
    return cupy.asarray(values.astype(np.float32))


def pointer(array: Any) -> int:
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0])
    if hasattr(array, "unsafe_buffer_pointer"):  # jax
        return int(array.unsafe_buffer_pointer())
    return int(array.data.ptr)  # cupy


def leave_numpy(ranks: Tensor) -> Any:
    return np.from_dlpack(ranks)


def leave_jax(ranks: Tensor) -> Any:
    return pytest.importorskip("jax.dlpack").from_dlpack(ranks)


def leave_cupy(ranks: Tensor) -> Any:
    return pytest.importorskip("cupy").from_dlpack(ranks)


ARRAYS = pytest.mark.parametrize(
    ("enter", "leave"),
    [(numpy_array, leave_numpy), (jax_array, leave_jax), (cupy_array, leave_cupy)],
    ids=["numpy", "jax", "cupy"],
)
Enter = Callable[[np.ndarray], Any]


@ARRAYS
def test_arrays_enter_and_leave_without_a_copy(
    enter: Enter, leave: Callable[[Tensor], Any]
) -> None:
    array = enter(np.random.default_rng(0).normal(size=(3, 40)))
    scores = torch.from_dlpack(array)
    assert scores.data_ptr() == pointer(array)
    ranks = rank_relax.soft_rank(scores, 2.0)
    back = leave(ranks)
    assert pointer(back) == ranks.data_ptr()
    assert back.shape == array.shape
    assert str(back.dtype) == str(array.dtype)
    copied = torch.tensor(np.asarray(array.get() if hasattr(array, "get") else array))
    assert torch.equal(ranks.cpu(), rank_relax.soft_rank(copied.to(ranks.device), 2.0).cpu())


@ARRAYS
def test_a_gradient_leaves_without_a_copy(enter: Enter, leave: Callable[[Tensor], Any]) -> None:
    predictions = torch.from_dlpack(enter(np.arange(12.0).reshape(2, 6) ** 0.5))
    targets = torch.from_dlpack(enter(np.cos(np.arange(12.0)).reshape(2, 6)))
    leaf = predictions.requires_grad_()
    (gradient,) = torch.autograd.grad(rank_relax.spearman_loss(leaf, targets), leaf)
    assert pointer(leave(gradient)) == gradient.data_ptr()


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[:, ::2],
        lambda a: a[1:, 3:],
        lambda a: np.broadcast_to(a[0], (4, 8)).copy()[::2],
        lambda a: np.asfortranarray(a),
    ],
    ids=["transposed", "every second", "an offset", "every second row", "Fortran order"],
)
def test_numpy_views_are_read_where_they_lie(view: Callable[[np.ndarray], np.ndarray]) -> None:
    array = view(np.random.default_rng(0).normal(size=(6, 8)))
    scores = torch.from_dlpack(array)
    assert scores.data_ptr() == pointer(array)
    assert torch.equal(rank_relax.soft_rank(scores), rank_relax.soft_rank(torch.tensor(array)))


def test_what_is_written_into_the_array_is_ranked() -> None:
    array = np.array([3.0, 1.0, 2.0])
    scores = torch.from_dlpack(array)
    array[:] = [1.0, 2.0, 3.0]
    assert rank_relax.soft_rank(scores, 1000.0).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=str)
def test_numpy_dtypes_stay_what_they_are(dtype: type) -> None:
    ranks = rank_relax.soft_rank(torch.from_dlpack(np.arange(3, dtype=dtype)))
    assert np.from_dlpack(ranks).dtype == dtype


def test_an_array_itself_is_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"must be a torch\.Tensor, got ndarray; convert it with"):
        rank_relax.soft_rank(np.arange(3.0))  # type: ignore[arg-type]
