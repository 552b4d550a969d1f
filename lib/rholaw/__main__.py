"""The command line of the data: ``python -m rholaw check`` and ``python -m rholaw update NAME``."""

import sys

from .tables import main

sys.exit(main())
