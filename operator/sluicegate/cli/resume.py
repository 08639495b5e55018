"""`sluicegate resume`: end the suspension of a product; by Git, or live."""

import argparse

from sluicegate.cli.kubectl.suspension import configure_suspension, run_suspension


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Show the change of the manifest that ends the suspension of a product. With --live the"
        " object is changed instead."
    )
    configure_suspension(parser)


def run(args: argparse.Namespace) -> int:
    """Print the change, or make it."""
    return run_suspension(args, suspend=False)
