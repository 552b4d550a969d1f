"""Where the workers of a sweep run: processes of this machine, Ray, or Slurm through submitit.

An engine starts workers that all do the same job and waits for them; what each does, the store decides.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import wait

Job = Callable[[], None]  # picklable; what it names must be importable by the workers
DEATHS = 3  # so many workers may die in a sweep, and others take over
TICK = 0.5  # seconds between two looks at the progress


def local(job: Job, workers: int, device: str, tick: Callable[[], None]) -> None:
    """Processes of one thread each.  RuntimeError when more than DEATHS of them die."""
    context = multiprocessing.get_context("spawn")  # a forked process cannot use a GPU
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when a worker imports torch
    processes, deaths = [_started(context, job) for _ in range(workers)], 0
    try:
        while processes:
            ended = wait([process.sentinel for process in processes], timeout=TICK)
            tick()
            for process in [process for process in processes if process.sentinel in ended]:
                processes.remove(process)
                process.join()
                if process.exitcode:
                    deaths += 1
                    if deaths > DEATHS:
                        raise RuntimeError(
                            f"{deaths} workers died, the last with exit code {process.exitcode} (-9: killed, often for "
                            f"want of memory). What has finished is kept; fewer workers or members need less memory"
                        )
                    processes.append(_started(context, job))
    finally:
        for process in processes:
            process.kill()
            process.join()


def _started(context, job: Job):
    process = context.Process(target=_in_process, args=(job,))
    process.start()
    return process


def _in_process(job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    parent = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: (wait([parent]), os._exit(1)), daemon=True).start()  # also when it is killed
    job()


ENGINES = {"local": local}
