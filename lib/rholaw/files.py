"""Files that are whole or absent: what is written becomes visible under its name at once, or not at all.

with replacing(path) as draft: torch.save(state, draft)
write(path, "text")
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new path in the folder of ``path``, to write to within the block; at its end the file takes ``path``'s place.

    Whoever reads ``path`` meanwhile, or after a crash, finds the old file or the new one; the mode of the old file
    stays, and a link stays a link.  Of several writers the last wins.  A block that raises leaves ``path`` as it was.
    """
    path = Path(path).resolve()
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.draft")
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())  # or a power failure may leave the new name on an empty file
        if path.exists():
            shutil.copymode(path, draft)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write(path: str | Path, content: str | bytes) -> None:
    """``content`` as the file at ``path``, at once or not at all; text as UTF-8 with its line ends as they are."""
    with replacing(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)
