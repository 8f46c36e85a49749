"""`python -m lpm`, the same as the console script `lpm`."""

import sys

from .command import main as main

if __name__ == "__main__":
    sys.exit(main())
