"""How much memory a call takes beyond what it is given, by Linux's own account."""

import ctypes
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(call: Callable[[], object]) -> int | None:
    """Bytes at the height of a call, or None where that cannot be told.

    A process of its own makes the call, the second time, when the code's own pages are there, and
    with a heap from which nothing can be had for free. That counts torch's tensors and what the
    kernels allocate alike.
    """
    if not CLEAR.exists():
        return None
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_send_peak, args=(call, sender))
    process.start()
    sender.close()
    try:
        return int(receiver.recv())
    except EOFError:  # the process ended without an answer
        return None
    finally:
        process.join()


def peak_here(call: Callable[[], object]) -> int | None:
    """The same in this very process, for calls that don't outlive a fork; not the first of them."""
    return _peak(call) if CLEAR.exists() else None


def _peak(call: Callable[[], object]) -> int:
    ctypes.CDLL(None).malloc_trim(0)
    CLEAR.write_text("5")  # the highest mark starts anew
    before = _kilobytes("VmRSS")
    call()
    return 1024 * (_kilobytes("VmHWM") - before)


def _send_peak(call: Callable[[], object], sender: Connection) -> None:
    call()
    sender.send(_peak(call))
    sender.close()
    os._exit(0)


def _kilobytes(field: str) -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
