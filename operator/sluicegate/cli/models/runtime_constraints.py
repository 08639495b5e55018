"""`sluicegate runtime-constraints`: the packages that the project's runtime image holds."""

import argparse

from sluicegate_service.constraints import FILE


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments: there are none."""
    parser.epilog = (
        "For example: sluicegate runtime-constraints > constraints.txt; uv pip install -c"
        " constraints.txt scikit-learn pandas. A bento that is built in such an environment fits."
    )


def run(_args: argparse.Namespace) -> int:
    """Print them, as a file of constraints for pip and uv."""
    print(FILE.read_text(encoding="utf-8"), end="")
    return 0
