"""The `sluicegate` command: the operator itself, and the tools around it.

Each sub-command is imported when it is asked for, so that `plan` needs no Kubernetes client
and the operator no simulator.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from sluicegate.errors import InvalidInput, SluicegateError

COMMANDS: Final = {
    "init": "make a product from a template",
    "check": "check that a bento runs and fits its product, without a cluster",
    "train": "run a product's training locally, as its Job would",
    "plan": "show the objects that the operator would apply for a DataProduct",
    "replay": "show the decisions over a history of counts",
    "simulate": "estimate how often and how fast a policy promotes, rolls back and retrains",
    "pack": "pack a bento as an OCI image and push it",
    "runtime-constraints": "print the packages of the runtime image",
    "runtime-image": "build a runtime image with a bento's packages and push it",
    "writeback": "write the stable version into its file in Git",
    "doctor": "check that a cluster has what the operator needs",
    "explain": "explain the state of a product, with live numbers",
    "report": "report on a product in a period, from its ledger",
    "review": "sign a review, or write the due dates of reviews as a calendar",
    "archive": "copy sealed reviews to a folder or a bucket",
    "dossier": "write the technical file of a product, from its spec and sealed ledgers",
    "crds": "write the CustomResourceDefinition from the types",
    "run": "run the operator",
}
EXIT_FAILED: Final = 1
EXIT_WRONG_INPUT: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command. 0: done; 1: failed; 2: the input is wrong."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asked = next((word for word in arguments if word in COMMANDS), None)
    parser = _parser(asked)
    args = parser.parse_args(arguments)
    try:
        done = int(args.run(args))
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough, head say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except InvalidInput as error:
        print(f"sluicegate {asked}: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    except SluicegateError as error:
        print(f"sluicegate {asked}: {error}", file=sys.stderr)
        return EXIT_FAILED
    return done


def _parser(asked: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluicegate",
        description="Runs a company's AI models as products on Kubernetes.",
        epilog="`sluicegate COMMAND --help` has the details. Exit codes: 0 done, 1 failed, 2 wrong input.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary}.".capitalize())
        if name == asked:
            module = importlib.import_module(f"sluicegate.cli.{name.replace('-', '_')}")
            module.configure(command)
            command.set_defaults(run=module.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
