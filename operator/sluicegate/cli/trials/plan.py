"""`sluicegate plan`: the objects of a DataProduct, without a cluster."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import yaml

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.names import LABEL_REVISION, LABEL_VERSION
from sluicegate.api.operator_checks import check_context, runtime_image
from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.operator_settings import operator_settings
from sluicegate.cli.inputs.product_files import read_products
from sluicegate.cli.printing.junit import JUNIT
from sluicegate.cli.printing.output import FORMATS, add_output
from sluicegate.cli.printing.terminal import aligned
from sluicegate.cli.trials.planned_values import derived_lines, gap_notes
from sluicegate.errors import invalid
from sluicegate.manifests.common import Manifest
from sluicegate.manifests.plan import example_training, initial_children, spec_version
from sluicegate.settings import Settings, parse_settings

OF_THIS_SHELL: Final = "note: the operator's settings are those of this shell (SLUICEGATE_*); with --cluster, those of its Deployment"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Show the objects that the operator would apply for each DataProduct in FILE. The"
        " operator's settings are taken from the environment (SLUICEGATE_*), with --cluster also from"
        " the operator's Deployment. With --changes, show instead what the change leads to, compared with"
        " the live object: a canary, a restart, an update, nothing, or a refusal."
    )
    parser.add_argument("file", metavar="FILE", help="YAML or JSON; - is standard input")
    add_output(parser, formats=(*FORMATS, JUNIT))
    parser.add_argument(
        "--changes",
        action="store_true",
        help="show what the change leads to, by the live objects of the kubeconfig's cluster; it implies"
        " --cluster, and changes nothing",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="take the operator's settings from its Deployment in the cluster of the kubeconfig;"
        " variables of this shell have precedence",
    )
    add_access(parser)
    parser.add_argument(
        "--training",
        action="store_true",
        help="also show the Jobs of a retraining and of a shadow phase",
    )
    parser.epilog = (
        "Exit codes: 0 done, 1 --changes finds a change that is refused, 2 wrong input. -o junit is for"
        " --changes."
    )


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    if args.output == JUNIT and not args.changes:
        raise invalid("--output", "junit is a format of --changes: add it")
    settings = _settings(cluster=args.cluster or args.changes)
    if args.changes:
        from sluicegate.cli.trials.plan_changes import print_changes  # noqa: PLC0415 - needs a cluster

        return print_changes(args, settings)
    products = list(read_products(args.file))
    children = [child for product in products for child in _children(product, settings, args)]
    print(_FORMATS[args.output](children), end="")
    for product in products:
        for note in gap_notes(product, settings):
            print(note, file=sys.stderr)
    if args.output in {"table", "wide"}:
        for product in products:
            for line in derived_lines(product, settings):
                print(line)
    return 0


def _settings(*, cluster: bool) -> Settings:
    """Return the operator's settings: those of this shell, with `cluster` also of its Deployment."""
    if not cluster:
        return parse_settings(os.environ, refuse_unknown=False)
    operator = asyncio.run(operator_settings(os.environ))
    print(f"note: {operator.source}", file=sys.stderr)
    return operator.settings


def _children(product: DataProduct, settings: Settings, args: argparse.Namespace) -> list[Manifest]:
    if problems := check_context(product.spec, settings):
        if not args.cluster:
            print(OF_THIS_SHELL, file=sys.stderr)
        raise InvalidProduct(problems)
    version = spec_version(product, runtime_image(product.spec, settings))
    jobs = example_training(product, version) if args.training else []
    return initial_children(product, version, settings) + jobs


def _as_yaml(children: list[Manifest]) -> str:
    plain = json.loads(json.dumps(children))  # shared parts would become YAML aliases
    return yaml.safe_dump_all(plain, sort_keys=False, width=100, allow_unicode=True)


def _as_json(children: list[Manifest]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": children}, indent=2) + "\n"


def _as_table(children: list[Manifest], *, wide: bool = False) -> str:
    rows = [("NAMESPACE", "KIND", "NAME", "WHAT", "IMAGES")]
    rows += [
        (child["metadata"]["namespace"], child["kind"], child["metadata"]["name"], _purpose(child),
         ", ".join(sorted(set(_images(child)))))
        for child in children
    ]  # fmt: skip
    cells = rows if wide else [row[:-1] for row in rows]
    return "\n".join(aligned(cells)) + "\n"


def _images(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        if isinstance(part.get("image"), str):
            yield part["image"]
        for item in part.values():
            yield from _images(item)
    elif isinstance(part, list | tuple):
        for item in part:
            yield from _images(item)


def _as_names(children: list[Manifest]) -> str:
    """Format names like kubectl's `-o name`: KIND.GROUP/NAME."""
    return "".join(f"{_kind(child)}/{child['metadata']['name']}\n" for child in children)


def _kind(child: Manifest) -> str:
    group, _, version = child["apiVersion"].rpartition("/")
    return f"{child['kind'].lower()}.{group}" if version and group else child["kind"].lower()


def _purpose(child: Manifest) -> str:
    """Return the purpose of a child in a few words."""
    describe = _WORDS.get(child["kind"])
    return describe(child) if describe else ""


def _deployment(child: Manifest) -> str:
    return f"{child['metadata']['labels'][LABEL_VERSION]}, {child['spec']['replicas']} pod(s)"


def _service(child: Manifest) -> str:
    kind = "headless" if child["spec"].get("clusterIP") == "None" else "cluster IP"
    return f"{kind}, revision {child['spec']['selector'][LABEL_REVISION]}"


def _route(child: Manifest) -> str:
    backends = child["spec"]["rules"][0]["backendRefs"]
    weights = ", ".join(f"{backend['name']} {backend['weight']} %" for backend in backends)
    return f"{', '.join(child['spec'].get('hostnames', ['*']))} → {weights}"


_WORDS: Final[Mapping[str, Callable[[Manifest], str]]] = {
    "Deployment": _deployment,
    "Service": _service,
    "HTTPRoute": _route,
    "PodDisruptionBudget": lambda child: f"at most {child['spec']['maxUnavailable']} pod away",
    "HorizontalPodAutoscaler": lambda child: (
        f"{child['spec']['minReplicas']}–{child['spec']['maxReplicas']} pods"
    ),
    "Job": lambda child: f"at most {child['spec']['activeDeadlineSeconds']} s",
}
_FORMATS: Final[Mapping[str, Callable[[list[Manifest]], str]]] = {
    "table": _as_table, "wide": partial(_as_table, wide=True), "yaml": _as_yaml, "json": _as_json, "name": _as_names,
}  # fmt: skip
