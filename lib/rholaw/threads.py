"""Parts of a tensor, worked on by threads that wait for nobody.

Torch gives every operation to its whole team and waits for the last of it. Where parts are small enough for a cache and
another process computes, that wait is a hundred times the work. Here every thread runs torch alone and takes the next
part when it is free, the caller among them, who so does all of it where the others get no core.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import torch

_here = threading.local()  # .width: how many threads may share the work of this one; without it, torch decides
_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)  # a child has none of the threads


@contextmanager
def alone() -> Iterator[int]:
    """Torch runs on the calling thread alone; the value is how many threads it had, which ``over`` now makes use of."""
    threads = torch.get_num_threads()
    outermost = not hasattr(_here, "width")
    if outermost:
        _here.width = threads
    if threads != 1:
        torch.set_num_threads(1)
    try:
        yield threads
    finally:
        if threads != 1:
            torch.set_num_threads(threads)
        if outermost:
            del _here.width


def over(task: Callable, *parts: Iterable) -> list:
    """[task(*part) for part in zip(*parts)], in that order; within ``alone`` by as many threads as torch had before.

    What a task raises is raised here, after the parts that were begun; no further ones are.  A task runs in the
    caller's gradient and inference modes.
    """
    items = list(zip(*parts, strict=True))
    width = min(getattr(_here, "width", 1), len(items))
    if width <= 1:
        return [task(*item) for item in items]
    results, waiting = [None] * len(items), deque(enumerate(items))
    gradients, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def work() -> None:
        while True:
            try:
                place, item = waiting.popleft()
            except IndexError:  # another took the last one
                return
            try:
                results[place] = task(*item)
            except BaseException:
                waiting.clear()
                raise

    def help_out() -> None:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            work()

    helpers = [_pool(width - 1).submit(help_out) for _ in range(width - 1)]
    try:
        work()
    finally:
        waiting.clear()
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)  # also after an error: nothing works on the parts any more
    for helper in begun:
        helper.result()
    return results


def _pool(width: int) -> ThreadPoolExecutor:
    """So many threads, all of them started: one that began to limit torch after ``alone`` ended would limit others."""
    if width not in _pools:
        pool, started = ThreadPoolExecutor(width, "rholaw", torch.set_num_threads, (1,)), threading.Barrier(width)
        for task in [pool.submit(started.wait) for _ in range(width)]:
            task.result()
        _pools[width] = pool
    return _pools[width]
