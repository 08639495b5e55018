"""`sluicegate replay`: the decisions for a history of counts, without a cluster."""

import argparse
import os
import sys

from sluicegate.cli.inputs.product_files import read_products
from sluicegate.cli.inputs.yaml_files import read_yaml
from sluicegate.errors import invalid
from sluicegate.simulation.other_policy import with_policy
from sluicegate.simulation.replay import replay
from sluicegate.simulation.replay_consumers import note_on_consumers
from sluicegate.simulation.replay_output import json_lines, table
from sluicegate.simulation.replay_scenario import ReplayScenario, parse_scenario


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
    documents = read_yaml(file)
    if len(documents) != 1 or documents[0] is None:
        text = "is empty" if not any(documents) else "has several documents"
        raise invalid(file, f"{text}: give a scenario, as `sluicegate record` writes it")
    return parse_scenario(documents[0])
