"""Papermill and its kernel, forked from a process that has already imported what chapters import.

A start costs 6 s of CPU otherwise, and more than thirty pages start.  The process that is forked has computed nothing.
"""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection, context, forkserver, get_context, parent_process
from pathlib import Path

IMPORTED = ("papermill.cli", "ipykernel.kernelapp", "scipy.optimize", "scipy.stats", "torch", "rholaw.book.figures")
INLINE = "module://matplotlib_inline.backend_inline"  # which a kernel asks for before matplotlib is imported
SERVER = get_context("forkserver")
STARTS = threading.Lock()  # multiprocessing looks at all its children whenever it starts one


def papermill(arguments: list[str], variables: dict[str, str], errors: Path) -> int:
    """Run papermill's command line with ``variables`` of the environment; the exit status, its words in ``errors``.

    It ends, as its kernel does, when this process ends.
    """
    lasting = {name: value for name, value in variables.items() if name != "TMPDIR"}  # it outlives a build's folder
    with STARTS, _environment(lasting):
        SERVER.set_forkserver_preload([__name__, *IMPORTED])
        forkserver.ensure_running()
        process = SERVER.Process(target=_papermill, args=(arguments, variables, errors))
        process.start()
    connection.wait([process.sentinel])
    with STARTS:
        process.join()
    return process.exitcode


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _papermill(arguments: list[str], variables: dict[str, str], errors: Path) -> None:
    from jupyter_client.provisioning import local_provisioner
    from papermill.cli import papermill as command

    _become(variables, errors)
    kernel = Kernel()
    kernel.start()
    os.setpgid(kernel.pid, kernel.pid)  # jupyter_client interrupts a kernel's whole group
    threading.Thread(target=_end_with, args=(parent_process().sentinel,), daemon=True).start()
    local_provisioner.launch_kernel = kernel.launch
    try:
        command(arguments)
    finally:
        kernel.tell.close()  # for a kernel that was never told


def _become(variables: dict[str, str], errors: Path | None = None) -> None:
    """Take an environment, and write nothing where the one who forked this process writes."""
    os.environ.clear()
    os.environ.update(variables)
    tempfile.tempdir = None  # which was read from an environment
    for stream, path, mode in ((0, os.devnull, os.O_RDONLY), (1, os.devnull, os.O_WRONLY)):
        os.dup2(os.open(path, mode), stream)
    if errors:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)


def _end_with(parent: int) -> None:
    connection.wait([parent])
    os._exit(1)


class Kernel(context.ForkProcess):
    """A process that becomes a kernel when it is told which; to jupyter_client it looks like a subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        super().__init__()
        self.told, self.tell = SERVER.Pipe(duplex=False)

    def launch(self, command: list[str], env: dict[str, str], **_: object) -> "Kernel":
        """What jupyter_client calls to start a program: here the program runs already."""
        self.tell.send((command[command.index("-f") :], env, os.getcwd()))
        return self

    def run(self) -> None:
        """What multiprocessing calls in the forked process: wait to be told, then be a kernel."""
        import matplotlib
        from ipykernel.kernelapp import launch_new_instance

        self.tell.close()
        try:
            arguments, variables, folder = self.told.recv()
        except EOFError:  # papermill ended before it started a kernel
            return
        os.chdir(folder)
        _become(variables)
        matplotlib.rcParams["backend"] = INLINE
        launch_new_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self.exitcode

    def wait(self) -> int:
        """The exit status, once it has ended."""
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)
