"""`python -m amorsize` is the command `amorsize`."""

from __future__ import annotations

import sys

from amorsize.cli import main

if __name__ == "__main__":
    sys.exit(main())
