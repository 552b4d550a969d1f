"""Where the workers of a sweep run: processes of this machine, Ray, or Slurm through submitit.

An engine starts workers that all do the same job and waits for them; what each does, the store decides.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path

Job = Callable[[], None]  # picklable; what it names must be importable by the workers
DEATHS = 3  # so many workers may die in a sweep, and others take over
MOST = 500  # characters of what a worker says
TICK = 0.5  # seconds between two looks at the progress
CLUSTER = "slurm"  # of submitit; "local" takes processes of this machine for it, in tests


def start(engine: str, job: Job, workers: int, device: str, logs: Path, tick: Callable[[], None]) -> None:
    """Do the job in so many workers of the engine, and return when all have; `tick` is called meanwhile.

    RuntimeError when more than DEATHS workers die, or when one says that it cannot work.  `logs` is a folder for what
    an engine writes.
    """
    os.environ |= _environment()
    ENGINES[engine](job, workers, device, logs, tick)


def _environment() -> dict[str, str]:
    """What a worker needs: a source tree that is not installed, and one thread, or they stand in each other's way."""
    return {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)), "OMP_NUM_THREADS": "1"}


def local(job: Job, workers: int, device: str, logs: Path, tick: Callable[[], None]) -> None:
    """Processes of this machine, which end with this one."""
    context = multiprocessing.get_context("spawn")  # a forked process cannot use a GPU
    here, there = context.Pipe(duplex=False)  # what a worker says in the end is shorter than what a pipe takes at once
    processes, deaths = [_started(context, job, there) for _ in range(workers)], 0
    try:
        while processes:
            ended = wait([process.sentinel for process in processes], timeout=TICK)
            tick()
            for process in [process for process in processes if process.sentinel in ended]:
                processes.remove(process)
                process.join()
                if here.poll():
                    raise RuntimeError(
                        f"a worker stopped: {here.recv()}. What has finished is kept, and the same call goes on"
                    )
                if process.exitcode:
                    deaths = _counted(deaths, f"exit code {process.exitcode}")
                    processes.append(_started(context, job, there))
    finally:
        for process in processes:
            process.kill()
            process.join()


def _started(context, job: Job, reports: Connection):
    process = context.Process(target=_in_process, args=(job, reports))
    process.start()
    return process


def _in_process(job: Job, reports: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    parent = multiprocessing.parent_process().sentinel
    threading.Thread(target=lambda: (wait([parent]), os._exit(1)), daemon=True).start()  # also when it is killed
    try:
        job()
    except Exception as error:  # not of training, which records what it raises: of the disk, of the store
        reports.send(f"{type(error).__name__}: {error}"[:MOST])
        raise SystemExit(1) from None


def ray(job: Job, workers: int, device: str, logs: Path, tick: Callable[[], None]) -> None:
    """Tasks of Ray on the cluster that RAY_ADDRESS names or on this machine, each with a GPU if device is "cuda".

    Ray itself starts a task again whose worker has died.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read by the import: report nothing home
    import ray

    options = {"log_to_driver": False, "logging_level": "error"}
    if "RAY_ADDRESS" in os.environ:
        options |= {"runtime_env": {"env_vars": _environment()}}
    else:
        options |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    started = not ray.is_initialized()
    if started:
        ray.init(**options)
    try:
        task = ray.remote(num_cpus=1, num_gpus=int(device == "cuda"), max_retries=DEATHS)(_called)
        left = [task.remote(job) for _ in range(workers)]
        while left:
            done, left = ray.wait(left, timeout=TICK)
            tick()
            ray.get(done)
    except ray.exceptions.RayError as error:
        raise RuntimeError(f"a worker of Ray ended: {error}. What has finished is kept") from error
    finally:
        if started:
            ray.shutdown()


def slurm(job: Job, workers: int, device: str, logs: Path, tick: Callable[[], None]) -> None:
    """Jobs of Slurm by submitit, started again when they die or their time is up.

    sbatch takes partition, account and time from its environment, as in SBATCH_PARTITION=gpu SBATCH_TIMELIMIT=60.
    """
    import submitit

    executor = submitit.AutoExecutor(folder=logs, cluster=CLUSTER)
    executor.update_parameters(timeout_min=24 * 60, cpus_per_task=1, gpus_per_node=int(device == "cuda"), name="rholaw")
    jobs, deaths = [executor.submit(job) for _ in range(workers)], 0
    try:
        while jobs:
            time.sleep(TICK)
            tick()
            for ended in [one for one in jobs if one.done()]:
                jobs.remove(ended)
                if error := ended.exception():
                    deaths = _counted(deaths, str(error))
                    jobs.append(executor.submit(job))
    finally:
        for one in jobs:
            one.cancel()


ENGINES = {"local": local, "ray": ray, "slurm": slurm}


def _counted(deaths: int, how: str) -> int:
    """One more; RuntimeError when that is too many."""
    if deaths == DEATHS:
        raise RuntimeError(
            f"{deaths + 1} workers died, the last of {how}. What has finished is kept. "
            "If memory was short (exit code -9): fewer workers or members need less"
        )
    return deaths + 1


def _called(job: Job) -> None:
    job()
