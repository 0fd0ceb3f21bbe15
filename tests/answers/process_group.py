"""Processes on this machine that answer questions together: what the tests of a split list ask."""

import multiprocessing
import os
import pickle
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

START_SECONDS = 90  # for importing torch in all of them, on a busy machine
ANSWER_SECONDS = 60
COLLECTIVE_SECONDS = 30


class ProcessGroup:
    """Processes that stay, and groups of the first few of them, of each size in `sizes`.

    `ask(size, function, *arguments)` calls function(rank, group, *arguments) on the first `size` of
    them and returns their answers in order, an exception as what was raised. The function is one
    of a module's, so that it can be sent.
    """

    def __init__(
        self,
        directory: Path,
        sizes: Sequence[int],
        collective_seconds: float = COLLECTIVE_SECONDS,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self.processes: list[BaseProcess] = []
        store = str(directory / "store")
        for rank in range(max(sizes)):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(theirs, store, rank, sizes, collective_seconds)
            )
            process.start()
            theirs.close()
            self._connections.append(ours)
            self.processes.append(process)
        try:
            for rank, connection in enumerate(self._connections):
                answer = self._receive(connection, START_SECONDS)
                if answer != "ready":
                    raise RuntimeError(f"process {rank} of the group did not start: {answer!r}")
        except Exception:
            self.kill()
            raise

    def ask(self, size: int, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        connections = self._connections[:size]
        for connection in connections:
            connection.send_bytes(pickle.dumps((size, function, arguments)))
        return [self._receive(connection, ANSWER_SECONDS) for connection in connections]

    def ask_first(
        self, size: int, seconds: float, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        """As `ask`, but waits for the answer of the first of them alone."""
        for connection in self._connections[:size]:
            connection.send_bytes(pickle.dumps((size, function, arguments)))
        return self._receive(self._connections[0], seconds)

    def kill(self) -> None:
        """Ends processes that may not be listening."""
        for process in self.processes:
            process.kill()
        self.close()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self.processes:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()

    @staticmethod
    def _receive(connection: Connection, seconds: float) -> Any:
        if not connection.poll(seconds):
            raise TimeoutError(f"a process did not answer in {seconds} seconds")
        try:
            return pickle.loads(connection.recv_bytes())
        except EOFError as error:
            return error  # the process has died


def _serve(
    connection: Connection,
    store: str,
    rank: int,
    sizes: Sequence[int],
    collective_seconds: float,
) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    # The collectives' timeout bounds a group's start too, so it is for groups of processes that
    # have all come.
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(store, max(sizes)),
        rank=rank,
        world_size=max(sizes),
        timeout=timedelta(seconds=START_SECONDS),
    )
    dist.barrier()
    timeout = timedelta(seconds=collective_seconds)
    groups = {size: dist.new_group(list(range(size)), timeout=timeout) for size in sizes}
    connection.send_bytes(pickle.dumps("ready"))
    while True:
        try:
            size, function, arguments = pickle.loads(connection.recv_bytes())
        except EOFError:
            break
        try:
            answer = function(rank, groups[size], *arguments)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = error
        # Pickled here: the connection's own pickler would send the tensors' memory by handles.
        connection.send_bytes(pickle.dumps(answer))
    dist.destroy_process_group()


class BytesSent:
    """Counts what this process hands to the collectives that rank_relax.distributed uses."""

    def __init__(self) -> None:
        self.bytes = 0

    def __enter__(self) -> "BytesSent":
        self._all_reduce, self._all_gather = dist.all_reduce, dist.all_gather

        def all_reduce(tensor: torch.Tensor, *args: Any, **options: Any) -> Any:
            self.bytes += tensor.nbytes
            return self._all_reduce(tensor, *args, **options)

        def all_gather(parts: list[torch.Tensor], tensor: torch.Tensor, **options: Any) -> Any:
            self.bytes += tensor.nbytes
            return self._all_gather(parts, tensor, **options)

        dist.all_reduce, dist.all_gather = all_reduce, all_gather
        return self

    def __exit__(self, *_: object) -> None:
        dist.all_reduce, dist.all_gather = self._all_reduce, self._all_gather
