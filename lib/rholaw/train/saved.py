"""What a training program needs to go on, in a file: read back as it was saved to the bit, or passed over.

save(path, {"step": 7, "flat": tensor})
restored(path, device)              the same, or None
"""

import hashlib
import io
import warnings
from pathlib import Path

import torch

from .. import files

FORMAT = f"rholaw training state 2, torch {torch.__version__}\n".encode()  # then a sha256, then what it is the sum of


def save(path: Path, state: dict) -> bool:
    """Write ``state``, tensors and plain values, at once; False, and a warning, where the disk does not take it.

    The file that was there then stays: training is worth more than what would save it from a crash.
    """
    content = io.BytesIO()
    torch.save(state, content)  # not to the file: on a full disk torch ends the process, or tells of no disk
    try:
        with files.replacing(path) as draft, open(draft, "wb") as file:
            file.write(FORMAT + hashlib.sha256(content.getbuffer()).digest())
            file.write(content.getbuffer())
    except OSError as error:
        warnings.warn(f"training goes on, but its state was not saved: {error}", RuntimeWarning, stacklevel=2)
        return False
    return True


def restored(path: Path, device: torch.device) -> dict | None:
    """The state in a file, its tensors on ``device``, or None: there is no file, or a warning says what it is.

    Nothing is unpickled before the bytes agree with their sum, and then nothing but tensors and plain values.  OSError
    where the file is there and cannot be read.
    """
    try:
        with open(path, "rb") as file:
            begins, digest, content = file.read(len(FORMAT)), file.read(hashlib.sha256().digest_size), file.read()
    except FileNotFoundError:
        return None
    if begins == FORMAT and digest == hashlib.sha256(content).digest():
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    says = f"{path} is passed over and its runs begin anew: it is damaged, or of another version than this"
    warnings.warn(says, RuntimeWarning, stacklevel=2)
    return None
