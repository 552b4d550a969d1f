"""A disk that is full, as far as one process sees it."""

import contextlib
import resource


@contextlib.contextmanager
def small_files(size):
    """No file of this process may grow beyond ``size`` bytes: a write beyond raises OSError, "File too large"."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
