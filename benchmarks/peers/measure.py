"""Measures one contestant: a process of its own, which benchmarks/compare.py starts.

    python -m peers.measure MODULE NAME TASK ROUNDS MEMORY < PROBLEMS

Problems come as lines of JSON. To each the answers are "warm", once all is compiled and was called,
what was measured, and then, by itself, the error; or what went wrong, which ends the answers.
"""

import contextlib
import gc
import json
import os
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from peak_memory import peak_here
from permutahedron import tie_means
from torch import Tensor

from peers import Contestant, Function, Problem, contestants, definitions, tail

BLOCK_SECONDS = 0.005  # what is timed at once takes about that long, or is one call
SLOW = 0.3  # what took so long at first is not asked once more before it is timed
WARMED = 0.05  # a peer's call that takes longer is not asked once untimed before each block
PROBLEM_SECONDS = 0.25  # a problem has fewer rounds where they would take longer, but these:
FEWEST_ROUNDS = 5
POOL = 2  # tensors that take turns

DIRECTIONS = ("forward", "forward+backward")

Calls = tuple[Callable[[], Any], ...]  # of each direction


def torch_calls(function: Function, x: Tensor, y: Tensor, g: Tensor | None) -> Calls:
    def forward_and_backward() -> tuple[Tensor, Tensor]:
        leaf = x.detach().requires_grad_()
        output = function(leaf, y)
        return output.detach(), torch.autograd.grad(output, leaf, None if output.dim() == 0 else g)[
            0
        ]

    return partial(function, x, y), forward_and_backward


def jax_calls(function: Function, x: Tensor, y: Tensor, g: Tensor | None) -> Calls:
    """Compiled, as JAX is used."""
    import jax

    scores, labels = jax.numpy.asarray(x.numpy()), jax.numpy.asarray(y.numpy())

    @jax.jit
    def both(scores: Any, labels: Any, g: Any) -> Any:
        output, back = jax.vjp(lambda s: function(s, labels), scores)
        return output, back(g)[0]

    one = jax.jit(function)
    shape = jax.eval_shape(function, scores, labels).shape
    weights = jax.numpy.asarray(g.numpy()) if shape else jax.numpy.ones((), scores.dtype)
    return (
        lambda: jax.block_until_ready(one(scores, labels)),
        lambda: jax.block_until_ready(both(scores, labels, weights)),
    )


def calls_of(contestant: Contestant, function: Function, *tensors: Any) -> Calls:
    return (jax_calls if contestant.jax else torch_calls)(function, *tensors)


def seconds(call: Callable[[], Any], count: int) -> float:
    """Of the processor, which other processes may have had in between."""
    begin = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - begin) / count


def tensors(result: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    output, gradient = (
        r if isinstance(r, Tensor) else torch.from_numpy(np.array(r)) for r in result
    )
    return output, gradient


def error(
    contestant: Contestant, problem: Problem, x: Tensor, y: Tensor, g: Tensor, found: Any
) -> float | None:
    """The larger of those of the result and of the gradient, each over its largest element."""
    output, gradient = tensors(found)
    if contestant.error is not None:
        return contestant.error(problem, x, y, g, output, gradient)
    if contestant.exact is None or problem.n > contestant.exact_up_to:
        return None
    labels = y.double() if y.is_floating_point() else y
    in_float64 = contextlib.nullcontext()
    if contestant.jax and contestant.exact.__module__.endswith("ott"):
        import jax

        in_float64 = jax.enable_x64(True)
        calls = jax_calls
    else:
        calls = torch_calls
    with in_float64:
        function = contestant.exact(problem)
        exact = tensors(calls(function, x.double(), labels, g.double())[1]())
    if problem.task == "soft sort":  # equal scores may be sorted in any order
        gradient, exact = tie_means(x, gradient), (
            exact[0], tie_means(x, exact[1])
        )  # fmt: skip
    return max(
        definitions.largest(one, other)
        for one, other in zip((output, gradient), exact, strict=True)
    )


def measure(
    contestant: Contestant,
    ours: Contestant | None,
    problem: Problem,
    rounds: int,
    say: Callable[[Any], None],
) -> None:
    """Says the times and bytes before the error, which is no time of the contestant's."""
    torch.manual_seed(0)
    pool = []
    for _ in range(POOL if problem.items < 10**6 else 1):
        x, y = problem.inputs()
        pool.append((x, y, torch.randn(x.shape)))
    rivals = [contestant] if ours is None else [contestant, ours]
    # [tensors][rival][forward, forward and backward]
    functions = [rival.make(problem) for rival in rivals]
    calls = [
        [calls_of(rival, f, *given) for rival, f in zip(rivals, functions, strict=True)]
        for given in pool
    ]
    result: dict[str, Any] = {"clock": "processor"}
    directions = list(DIRECTIONS)
    once = [seconds(calls[0][0][0], 1)]  # warms up, and compiles
    try:
        once.append(seconds(calls[0][0][1], 1))
    except Exception as exception:  # its result may be all that there is
        result["backward"] = what_went_wrong(exception)
        del directions[1:]
        calls = [[of_rival[:1] for of_rival in given] for given in calls]
    every = [call for of_rival in calls[0] for call in of_rival]
    once += [seconds(call, 1) for call in every[len(directions) :]]
    say("warm")
    once = [
        s if s > SLOW and not contestant.compiled else seconds(call, 1)
        for s, call in zip(once, every, strict=True)
    ]
    counts = [max(1, int(BLOCK_SECONDS / max(s, 1e-9))) for s in once]
    # What ran in between leaves cold caches, and pages that have been given back.
    untimed = [ours is None or i >= len(directions) or s <= WARMED for i, s in enumerate(once)]
    a_round = sum(s * (c + u) for s, c, u in zip(once, counts, untimed, strict=True))
    rounds = max(FEWEST_ROUNDS, min(rounds, int(PROBLEM_SECONDS / a_round)))
    times: list[list[float]] = [[] for _ in once]
    for number in range(rounds):
        flat = [call for of_rival in calls[number % len(calls)] for call in of_rival]
        for call, count, first, found in zip(flat, counts, untimed, times, strict=True):
            if first:
                call()
            found.append(seconds(call, count))
    result["rounds"] = rounds
    for i, name in enumerate(directions):
        mine = times[i]
        result[name] = {"nanoseconds": nanoseconds(mine, problem)}
        if ours is not None:
            beside = times[len(directions) + i]
            ratios = [a / b for a, b in zip(mine, beside, strict=True)]
            middle = statistics.median(ratios)
            spread = statistics.median(abs(r - middle) for r in ratios)
            of_ours = nanoseconds(beside, problem)
            result[name] |= {"ratio": middle, "spread": spread, "nanoseconds of ours": of_ours}
    gc.collect()
    peak = None if contestant.jax else peak_here(calls[0][0][-1])  # JAX keeps what it has freed
    result["bytes"] = None if peak is None else peak / problem.items
    say(result)
    value = None
    if len(directions) == 2:
        # The peer has been heard; whatever is wrong with the reference leaves no error.
        with contextlib.suppress(Exception):
            value = error(contestant, problem, *pool[0], calls[0][0][1]())
    say({"error": value})


def nanoseconds(times: list[float], problem: Problem) -> float:
    """Per item."""
    return statistics.median(times) / problem.items * 1e9


def what_went_wrong(problem: Exception) -> str:
    text = " ".join(str(problem).split())
    if isinstance(problem, MemoryError) or "allocate" in text or "RESOURCE_EXHAUSTED" in text:
        return "out of memory"
    return f"refused: {type(problem).__name__}: {tail(str(problem))}"


def main() -> None:
    module, name, task, rounds, memory = sys.argv[1:]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what peers print is no answer
    mine = next(c for c in contestants(module) if (c.name, c.task) == (name, task))
    ours = next((c for c in contestants("ours") if (c.name, c.task) == (mine.ours, task)), None)
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory), int(memory)))

    def say(answer: Any) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    say("ready")
    for line in sys.stdin:
        problem = Problem(**json.loads(line))
        try:
            measure(mine, ours, problem, int(rounds), say)
        except Exception as exception:  # whatever a peer says is an answer
            say({"status": what_went_wrong(exception)})


if __name__ == "__main__":
    main()
