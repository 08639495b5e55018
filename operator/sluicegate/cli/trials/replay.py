"""`sluicegate replay`: the decisions for a history of counts, without a cluster."""

import argparse
import os
import sys
from pathlib import Path
from typing import Final

import yaml

from sluicegate.cli.inputs.product_files import read_products
from sluicegate.errors import invalid, unreadable
from sluicegate.simulation.other_policy import with_policy
from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_consumers import note_on_consumers
from sluicegate.simulation.replay_output import json_lines, table
from sluicegate.simulation.replay_scenario import ReplayScenario, parse_scenario

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""LibYAML if it is installed: histories are long."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Evaluate a product after each block of a recorded or synthetic history of counts, with the"
        " rules of the operator, and print one decision per line. `sluicegate record` writes the"
        " history of a product."
    )
    parser.add_argument("scenario", metavar="SCENARIO", help="YAML or JSON; - is standard input")
    parser.add_argument(
        "--with",
        dest="policy",
        metavar="FILE",
        help="evaluate by the policy of the DataProduct in this file instead of the scenario's",
    )
    parser.add_argument(
        "--output", "-o", choices=("json", "table"), default="json", help="default: json"
    )


def run(args: argparse.Namespace) -> int:
    """Print the decisions."""
    scenario = read_scenario(args.scenario)
    if args.policy:
        scenario = with_policy(scenario, next(iter(read_products(args.policy))))
    if note := note_on_consumers(scenario):
        print(f"note: {note}", file=sys.stderr)
    lines = json_lines if args.output == "json" else table
    try:
        for line in lines(replay(scenario)):
            print(line)
    except BrokenPipeError:  # the reader of the pipe has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def read_scenario(file: str) -> ReplayScenario:
    """Parse the scenario in a file. Raises InvalidInput, naming the field, for any mistake."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - both loaders are safe
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(file, error) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise invalid(file, f"is neither YAML nor JSON: {error}") from error
    if document is None:
        raise invalid(file, "is empty: give a scenario, as `sluicegate record` writes it")
    return parse_scenario(document)
