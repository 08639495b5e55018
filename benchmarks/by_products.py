"""Command line of a benchmark that is measured at several numbers of products."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SIZES: Final = (500, 5000)


def print_by_products(
    name: str,
    description: str | None,
    measure: Callable[[int], Coroutine[Any, Any, dict[str, Any]]],
) -> None:
    """Measure at each number of products in the arguments, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--products", type=int, nargs="+", default=SIZES)
    for count in parser.parse_args().products:
        figures = asyncio.run(measure(count))
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")
