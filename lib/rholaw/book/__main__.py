"""The command line of the book: ``python -m rholaw.book build``."""

import sys

from .build import main

sys.exit(main())
