"""Files that are whole or absent: what is written becomes visible under its name at once, or not at all.

with replacing(path) as draft: torch.save(state, draft)
write(path, "text")
with locked(path) as file: …       one process at a time, also where one is killed
"""

import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks: drafts of killed writers stay there, and to lock is an OSError
    fcntl = None


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new path in the folder of ``path``, to write to within the block; at its end the file takes ``path``'s place.

    Whoever reads ``path`` meanwhile, or after a crash, finds the old file or the new one; the mode of the old file
    stays, and a link stays a link.  Of several writers the last wins.  A block that raises leaves ``path`` as it was;
    what a writer that was killed leaves beside it, the next one removes.
    """
    path = Path(path).resolve()
    with naming(path):
        _remove_abandoned(path)
        draft, lock = _begun(path)
        try:
            yield draft
            settle(draft)
            if path.exists():
                shutil.copymode(path, draft)
            os.replace(draft, path)
            settle(path.parent)
        finally:
            draft.unlink(missing_ok=True)
            if lock is not None:
                os.close(lock)


def write(path: str | Path, content: str | bytes) -> None:
    """``content`` as the file at ``path``, at once or not at all; text as UTF-8 with its line ends as they are."""
    with replacing(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def writable(path: str | Path) -> Path:
    """The Path of a file that work will end in. Raises ValueError where its folder is not there, or it is a folder."""
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} to")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    return path


def settle(path: str | Path) -> None:
    """Return when the disk has what is written to a file, or the names in a folder: a power failure changes neither."""
    if fcntl is None and os.path.isdir(path):
        return  # Windows opens no folders
    opened = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def locked(path: str | Path, wait: bool = True) -> Iterator[int]:
    """The file, open for appending, or the folder, this process's alone; BlockingIOError if it may not ``wait``.

    The lock is flock's: the kernel drops it with the process that holds it, however it dies. OSError on a system that
    has none.
    """
    if fcntl is None:
        raise OSError(errno.ENOLCK, "this system cannot lock files: use Linux, macOS or WSL", str(path))
    file = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield file
    finally:
        os.close(file)  # which also unlocks it


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """An OSError of the block is about this file: of a full disk the system tells no name, or that of a draft."""
    try:
        yield
    except OSError as error:
        if error.errno and str(error.filename or path).startswith(str(path)):  # one without a number has words instead
            error.filename = str(path)
        raise


def replace_folder(path: Path, new: Path) -> None:
    """The folder ``new``, of the same file system, takes the place of ``path``.

    Two renames: a process killed between them leaves no ``path``, and `restore_folder` brings back the old one.
    """
    if path.exists():
        shutil.rmtree(_aside(path), ignore_errors=True)
        path.rename(_aside(path))
    new.rename(path)
    shutil.rmtree(_aside(path), ignore_errors=True)


def restore_folder(path: Path) -> None:
    """Undo what a killed `replace_folder` left half done."""
    if _aside(path).exists() and not path.exists():
        _aside(path).rename(path)


def _begun(path: Path) -> tuple[Path, int | None]:
    """A new draft of a file, and its descriptor with a lock on it; None on Windows, which renames no open file."""
    while True:
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.draft")
        lock = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if fcntl is None:
            os.close(lock)
            return draft, None
        with suppress(OSError):  # where a file system has no locks, no draft is ever taken for abandoned
            fcntl.flock(lock, fcntl.LOCK_EX)
        if draft.exists():  # or another writer took it for abandoned before it was locked
            return draft, lock
        os.close(lock)


def _remove_abandoned(path: Path) -> None:
    """Remove the drafts of a file that no living process holds."""
    for draft in path.parent.glob(f"{glob.escape(path.name)}.*.draft") if fcntl else ():
        with suppress(OSError), open(draft, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.unlink()


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")
