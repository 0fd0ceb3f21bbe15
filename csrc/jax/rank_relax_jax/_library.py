"""The compiled library, and what JAX is told of it."""

import ctypes
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jax

_LIBRARY = Path(__file__).with_name("librank_relax_jax.so")


@cache
def load() -> ctypes.CDLL:
    """The library; raises the ImportError that says what to do where it can't be used."""
    if not _LIBRARY.exists():
        raise ImportError(
            f"{_LIBRARY} is missing: the package is compiled while it is installed, so don't "
            "import it from a folder of sources; install it with `pip install ./csrc/jax`"
        )
    library = ctypes.CDLL(str(_LIBRARY))
    library.rank_relax_max_order.argtypes = [ctypes.c_char_p]
    library.rank_relax_linear_spread.argtypes = [ctypes.c_char_p]
    library.rank_relax_linear_spread.restype = ctypes.c_double
    _check_version(library.rank_relax_ffi_version())
    return library


def _check_version(compiled: int) -> None:
    """XLA takes handlers of its own version of the FFI and of older ones.

    Of a newer one it would refuse, and leave JAX without its CPU.
    """
    header = Path(jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h")
    if not header.exists():
        return
    found = dict(re.findall(r"#define XLA_FFI_API_(MAJOR|MINOR) (\d+)", header.read_text()))
    at_hand = int(found.get("MAJOR", 0)) * 1000 + int(found.get("MINOR", 0))
    if at_hand < compiled:
        raise ImportError(
            f"rank_relax_jax was compiled for XLA's FFI {_number(compiled)}, and jaxlib "
            f"{version('jaxlib')} has {_number(at_hand)}: install a newer jaxlib, or "
            "rank_relax_jax again with `--no-cache-dir --force-reinstall --no-deps`"
        )


def _number(number: int) -> str:
    return f"{number // 1000}.{number % 1000}"


def register(name: str) -> None:
    """Makes a handler of the library a target of XLA's on the CPU."""
    handler = getattr(load(), name)
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
    jax.ffi.register_ffi_target_as_batch_partitionable(name)


@cache
def max_order(method: str) -> int:
    """How many times ranks by this method can be differentiated."""
    return int(load().rank_relax_max_order(method.encode()))


@cache
def linear_spread(method: str) -> float:
    """The scaled spread of a list below which its ranks are linear in its values, to rounding."""
    return float(load().rank_relax_linear_spread(method.encode()))
