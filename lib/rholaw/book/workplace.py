"""Where a book is built: one build at a time, in a folder of its own, by programs that end when the build ends."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import files

ROOT = Path(__file__).resolve().parents[3]


class BuildError(RuntimeError):
    """The book cannot be built; the message says which chapter and why."""


@dataclass(frozen=True)
class Workplace:
    """What one build of the book at ``root`` works with: an empty ``folder``, and the end of a pipe (see `tied`)."""

    root: Path
    folder: Path
    pipe: int

    def run(self, *command: str | Path, **options: object) -> subprocess.CompletedProcess:
        """Run a console script with the project's profile, one thread, the last commit's time; options of subprocess.

        All that it and its kernels write besides what they are asked for goes to ``folder``, temporary files too.
        """
        command = [sys.executable, "-m", "rholaw.book.tied", *map(str, command)]
        return subprocess.run(command, env=self.variables(), stdin=self.pipe, text=True, **options)

    def variables(self) -> dict[str, str]:
        """The environment of what a build starts, and of its kernels."""
        places = {"IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime", "TMPDIR": "tmp"}
        commit = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=self.root, capture_output=True, text=True)
        return {
            **os.environ,
            **{variable: str(self.folder / name) for variable, name in places.items()},
            "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, whatever the user has installed
            "OMP_NUM_THREADS": "1",  # one chapter a core
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONHASHSEED": "0",
            "TQDM_DISABLE": "1",  # a page is no place for progress lines
            **({"SOURCE_DATE_EPOCH": commit.stdout.strip()} if commit.stdout.strip() else {}),
        }


@contextmanager
def workplace(root: Path) -> Iterator[Workplace]:
    """A place to build the book in, which nobody else has; what a killed build left is cleared away.

    BuildError: another build has it, or nothing can be written there.
    """
    output = root / "_build"
    with ExitStack() as held:
        try:
            output.mkdir(exist_ok=True)
            held.enter_context(files.locked(output / "lock", wait=False))
        except BlockingIOError:
            raise BuildError(f"another build of the book in {root} is running; wait until it is done") from None
        except OSError as error:
            where = f"the book is built in {output}, where nothing can be written"
            raise BuildError(f"{where}: {error.strerror}") from error
        for left in output.glob("work-*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="work-", dir=output))
        read, write = os.pipe()
        try:
            profile = folder / "ipython" / "profile_default"
            profile.mkdir(parents=True)
            shutil.copy(root / "assets" / "ipython_kernel_config.py", profile)
            (folder / "tmp").mkdir()
            yield Workplace(root, folder, read)
        finally:
            os.close(write)
            os.close(read)
            shutil.rmtree(folder, ignore_errors=True)
