"""`sluicegate runtime-constraints`: the packages of the project's runtime image."""

import argparse

from sluicegate_service.constraints import FILE


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments."""
    parser.epilog = (
        "For example: sluicegate runtime-constraints > constraints.txt; uv pip install -c"
        " constraints.txt scikit-learn pandas. A bento that is built in such an environment fits."
    )


def run(_args: argparse.Namespace) -> int:
    """Print the packages, as a file of constraints for pip and uv."""
    print(FILE.read_text(encoding="utf-8"), end="")
    return 0
