"""`python -m benchmarks.drift`: see `benchmarks.drift.cli`."""

import sys

from benchmarks.drift.cli import main

if __name__ == "__main__":
    sys.exit(main())
