"""`sluicegate doctor`: checks whether a cluster has what the operator needs."""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterable

from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.operator_settings import operator_settings
from sluicegate.cli.operations.doctor_cluster import cluster_findings
from sluicegate.cli.operations.doctor_prometheus import PrometheusReader, prometheus_findings
from sluicegate.cli.operations.doctor_reach import reach_findings
from sluicegate.cli.printing.findings import blocking_findings, findings_document
from sluicegate.cli.printing.output import add_output, write
from sluicegate.settings import Settings, parse_settings
from sluicegate.wiring import endpoint_of
from sluicegate_service.findings import Finding


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Check that the API server and Prometheus have what the operator needs: versions,"
        " definitions, Leases of operators, policies, Gateways, image volumes, labels, scrape interval, retention, cAdvisor. It"
        " changes nothing."
    )
    parser.add_argument(
        "--prometheus",
        metavar="URL",
        help="address as seen from here, e.g. through kubectl port-forward (default:"
        " SLUICEGATE_PROMETHEUS_URL)",
    )
    parser.add_argument(
        "--namespace",
        "-n",
        default="default",
        help="namespace in which a pod is tested by a dry run (default: default)",
    )
    parser.add_argument(
        "--reach",
        action="store_true",
        help="check only whether API server, Prometheus and Gateways answer from here, with the"
        " variables SLUICEGATE_* of this process: `helm test` does it in a pod like the operator's",
    )
    add_output(parser, formats=("table", "json", "yaml"))
    add_access(parser, namespace=False)
    parser.epilog = (
        "Uses the kubeconfig as kubectl does, and the settings of the operator's Deployment; SLUICEGATE_* of"
        " this shell have precedence. Exit codes: 0 nothing is missing, 1 something is missing."
    )


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 1 if one of them prevents the operator from working."""
    if args.reach:
        return asyncio.run(_reach(args.prometheus or "", args.output))
    operator = asyncio.run(operator_settings(os.environ))
    settings, plain = operator.settings, args.output == "table"
    cluster = asyncio.run(cluster_findings(args.namespace))
    if plain:
        _print("cluster", cluster)
    prometheus = _of_prometheus(args.prometheus or settings.prometheus_url, settings)
    if plain:
        _print("Prometheus", prometheus)
    else:
        write(findings_document((*cluster, *prometheus)), args.output)
    print(f"note: {operator.source}", file=sys.stderr)
    return 1 if blocking_findings((*cluster, *prometheus)) else 0


async def _reach(prometheus_url: str, output: str) -> int:
    """Print each finding as soon as it is known; return 1 if a required server doesn't answer."""
    findings = []
    settings = parse_settings(os.environ, refuse_unknown=False)
    async for finding in reach_findings(settings, prometheus_url):
        findings.append(finding)
        if output == "table":
            print(finding.line(), flush=True)
    if output != "table":
        write(findings_document(findings), output)
    return 1 if blocking_findings(findings) else 0


def _of_prometheus(url: str, settings: Settings) -> list[Finding]:
    if not url:
        message = (
            "was not checked: the operator's address is that of its network; from here, use"
            " `kubectl -n monitoring port-forward svc/prometheus 9090` and --prometheus"
            " http://127.0.0.1:9090, or set SLUICEGATE_PROMETHEUS_URL"
        )
        return [Finding.warning("Prometheus", message)]
    with PrometheusReader(endpoint_of(settings, url)) as reader:
        return list(prometheus_findings(reader, settings))


def _print(title: str, findings: Iterable[Finding]) -> None:
    finding_list = list(findings)
    for finding in finding_list:
        print(finding.line())
    if not finding_list:
        print(f"ok: {title}: nothing is missing")
