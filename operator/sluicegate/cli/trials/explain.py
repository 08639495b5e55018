"""`sluicegate explain`: the status of a product, and the evaluation of its newest blocks.

Status holds the numbers of the last decision; the command reads Prometheus again and evaluates by
the functions of the operator. It changes nothing.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

from sluicegate.api.base import number, rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.api.shadow import ShadowStatus
from sluicegate.api.versions import CandidateHold
from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import product_of
from sluicegate.cli.inputs.consumer_access import consumers_of
from sluicegate.cli.inputs.object_name import parse_name
from sluicegate.cli.inputs.operator_settings import namespace_of_operator, operator_settings
from sluicegate.cli.printing.output import add_output, document, write, write_lines, write_names
from sluicegate.cli.trials.explain_live import Live, read_live
from sluicegate.kube.resources import Key
from sluicegate.reconcile.traffic.allocation import share_in_force
from sluicegate.reconcile.traffic.exchange import describe_exchange
from sluicegate.settings import parse_settings
from sluicegate.views.product_facts import decision_has_ended
from sluicegate.views.words import DEGRADATION_OVER_TEXT

UNREAD: Final = (
    "now: the newest blocks aren't read: set SLUICEGATE_PROMETHEUS_URL to a Prometheus that this"
    " machine reaches"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("product", help="NAMESPACE/NAME of a DataProduct, or NAME")
    add_output(parser)
    add_access(parser)
    parser.epilog = (
        "Uses the kubeconfig as kubectl does. With SLUICEGATE_PROMETHEUS_URL set, the newest blocks"
        " are read and evaluated too, by the settings of the operator's Deployment: variables of this"
        " shell have precedence."
    )


def run(args: argparse.Namespace) -> int:
    """Print the explanation."""
    key = parse_name(args.product, argument="product")
    asyncio.run(_explain(key, args.output))
    return 0


async def _explain(key: Key, output: str) -> None:
    body = await product_of(key)
    product = DataProduct.parse(body)
    live = None
    if parse_settings(os.environ, refuse_unknown=False).prometheus_url:
        operator = await operator_settings(os.environ, namespace_of_operator(product))
        print(f"note: {operator.source}", file=sys.stderr)
        live = await read_live(product, operator.settings, await _consumers(product))
    if output == "name":
        write_names([body])
        return
    if output in {"json", "yaml"}:
        write(_document(key, body, live), output)
        return
    write_lines(status_lines(product))
    write_lines(live.lines if live else (UNREAD,))


async def _consumers(product: DataProduct) -> list[DataProduct]:
    """Read the products whose SLOs count in a canary that runs."""
    if product.status.trial is None:
        return []
    return [DataProduct.parse(body) for body in await consumers_of(product)]


def _document(key: Key, body: dict[str, Any], live: Live | None) -> dict[str, Any]:
    """Return status without the engine's state, and the newest blocks if they were read."""
    status = {name: part for name, part in body.get("status", {}).items() if name != "engine"}
    now = {"now": live.as_object} if live else {}
    return document(
        "ProductExplanation", namespace=key.namespace, name=key.name, status=status, **now
    )


def status_lines(product: DataProduct) -> Iterator[str]:
    """Yield the status, a line each."""
    status = product.status
    stable = f"stable {status.stable.version}" if status.stable else "no version is stable yet"
    yield f"{product.metadata.namespace}/{product.metadata.name}: {status.state or 'Unknown'}, {stable}"
    if status.last_refresh_time is not None:
        yield f"  status refreshed at {rfc3339(status.last_refresh_time)}"
    if exchange := describe_exchange(product.spec):
        yield f"  rollout.capacity Replace: {exchange}"
    if status.candidate is not None:
        candidate = status.candidate
        yield f"  candidate {candidate.version}: {candidate.phase} at {share_in_force(candidate)} %"
        yield from _hold_lines(candidate.hold)
        for evidence in candidate.evidence:
            yield (
                f"    {evidence.slo}: evidence for it {_short(evidence.promote)}, of the"
                f" {_short(evidence.promote_at)} that are needed; against it {_short(evidence.roll_back)}, of the"
                f" {_short(evidence.roll_back_at)} that end it"
            )
        yield from _shadow_lines(candidate.shadow)
    if status.decision is not None:
        made = status.decision
        over = f". {DEGRADATION_OVER_TEXT}" if decision_has_ended(status) else ""
        yield (
            f"  last decision {made.type} ({made.reason}) at {rfc3339(made.decision_time)}:"
            f" {made.message.rstrip('.') + over if over else made.message}"
        )
    for request in status.pending_requests:
        yield (
            f"  request {request.annotation}={request.value} waits since"
            f" {rfc3339(request.wait_start_time)} ({request.reason}): {request.message}"
        )
    for condition in status.conditions:
        yield f"  {condition.type}={condition.status} {condition.reason} {condition.message}".rstrip()


def _short(evidence: str) -> str:
    """Return evidence with one decimal."""
    return f"{float(evidence):.1f}"


def _hold_lines(hold: CandidateHold | None) -> Iterator[str]:
    """Yield the check that holds the candidate, and the pending request for it."""
    if hold is None:
        return
    yield f"    held by {hold.check} since {rfc3339(hold.start_time)}: {hold.message}"
    if hold.request:
        yield f"    {hold.request} is pending until then"


def _shadow_lines(shadow: ShadowStatus | None) -> Iterator[str]:
    """Yield both versions' results on rows that were labelled after the training."""
    if shadow is None:
        return
    yield f"    shadow phase: rows labelled up to {rfc3339(shadow.since_time)} are scored"
    for slo in shadow.evidence:
        rows = slo.pairs
        yield (
            f"    {slo.slo} in the shadow phase: {rows.total:,} rows in {slo.blocks} intervals,"
            f" {rows.only_candidate_wrong:,} wrong of the candidate alone, {rows.only_stable_wrong:,}"
            f" of stable alone; for it {number(slo.promote)}, against it {number(slo.roll_back)}"
        )
    if shadow.message:
        yield f"    {shadow.reason}: {shadow.message}"
