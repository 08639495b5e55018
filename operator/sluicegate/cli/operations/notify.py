"""`sluicegate notify`: a message for each transition of a product; or a check of its configuration."""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from sluicegate.api.product import read_status_json, status_text
from sluicegate.errors import invalid
from sluicegate.notify.catalogue import TEST_TYPE
from sluicegate.notify.cloud_events import event_of
from sluicegate.notify.configuration import AlertmanagerSink, Configuration, load
from sluicegate.notify.cursor import Cursor, cursor_of
from sluicegate.notify.message_batches import Collected, Message, batch_of
from sluicegate.notify.transitions import Transition, transitions_between
from sluicegate.notify.watched import origin_of
from sluicegate.notify.wording import wording_of
from sluicegate.reconcile.live.product import product_record


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", type=Path, required=True, help="the configuration file")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="check the configuration, and end")
    mode.add_argument(
        "--test", metavar="SINK", help="send a test message to a sink, and end",
    )  # fmt: skip
    mode.add_argument(
        "--dry-run", nargs=2, type=Path, metavar=("BEFORE", "AFTER"),
        help="print what would be sent for two states of a DataProduct, each a YAML file as"
        " `kubectl get -o yaml` writes it, and end",
    )  # fmt: skip
    parser.add_argument(
        "--output", choices=("text", "json"), default="text",
        help="of --dry-run: the text of messages, or their CloudEvents",
    )  # fmt: skip
    parser.epilog = (
        "Without --check, --test and --dry-run it runs until SIGTERM, configured by the same"
        " SLUICEGATE_* variables as the operator; SLUICEGATE_LEASE_NAME names the Lease and the ConfigMap."
    )


def run(args: argparse.Namespace) -> int:
    """Run the selected mode."""
    configuration = load(args.config)
    if args.check:
        parts = {
            "sink": len(configuration.sinks),
            "route": len(configuration.routes),
            "digest": len(configuration.digests),
        }
        counted = ", ".join(
            f"{number} {name}{'s' * (number != 1)}" for name, number in parts.items()
        )
        print(f"{args.config}: {counted}")
        for name in configuration.sinks_without_messages:
            print(f"  sinks.{name} receives no message: no route and no digest names it")
        return 0
    if args.test is not None:
        return asyncio.run(_test(configuration, args.test))
    if args.dry_run is not None:
        return _dry_run(configuration, *map(_document, args.dry_run), as_json=args.output == "json")
    return _serve(configuration)


def _serve(configuration: Configuration) -> NoReturn:
    # The client of Kubernetes and Kopf take most of a second, for which a dry run needn't wait.
    from sluicegate.cli.operations.run import run_program  # noqa: PLC0415
    from sluicegate.notify.program import LEASE, WORKER_COUNT, program  # noqa: PLC0415

    environment = {
        "SLUICEGATE_LEASE_NAME": LEASE,
        "SLUICEGATE_WORKERS": str(WORKER_COUNT),
        **os.environ,
    }
    run_program(program(configuration), environment)


async def _test(configuration: Configuration, name: str) -> int:
    from sluicegate.notify.delivery import Undelivered  # noqa: PLC0415
    from sluicegate.notify.program import receiver_of  # noqa: PLC0415
    from sluicegate.notify.sinks.http import AiohttpClient  # noqa: PLC0415

    sink = configuration.sinks.get(name)
    if sink is None or isinstance(sink, AlertmanagerSink):
        names = [
            sink_name
            for sink_name, sink in configuration.sinks.items()
            if sink.kind != "Alertmanager"
        ]
        text = f'is "{name}": name a sink that receives messages: {", ".join(names) or "there is none"}'
        raise invalid("test", text)
    client = AiohttpClient()
    keeping = asyncio.ensure_future(client.keep())
    now = int(time.time())
    try:
        receiver = receiver_of(sink, configuration, client, time.time)
        await receiver.send(Message(f"test-{now}", TEST_TYPE, now, now), 0)
    except Undelivered as refusal:
        print(f"{name} did not accept the test message: {refusal}")
        return 1
    finally:
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.wait([keeping])
    print(f"{name} accepted a test message")
    return 0


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        meta = document["metadata"]
        meta |= {"namespace": meta.get("namespace") or "default", "name": str(meta["name"])}
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        problem = "is no DataProduct in YAML: write it by kubectl get dataproduct NAME -o yaml"
        raise invalid(str(path), problem) from error
    meta.setdefault("uid", "")
    meta["resourceVersion"] = "1"
    return {**document, "metadata": meta}


def _dry_run(
    configuration: Configuration, before: dict[str, Any], after: dict[str, Any], *, as_json: bool
) -> int:
    """Print the messages of a transition without earlier messages."""
    now = int(time.time())
    transitions = _transitions(before, after)
    collected = [Collected(at, 0, transition) for at, transition in enumerate(transitions)]
    batch = batch_of(collected, {}, configuration, now)
    portfolio = configuration.portfolio_url or ""
    for number, message in enumerate(batch.messages if batch else ()):
        if as_json:
            event = event_of(
                message, cluster=configuration.cluster, number=number, portfolio=portfolio
            )
            print(json.dumps({"sinks": message.sinks, "event": event}, ensure_ascii=False))
        else:
            words = wording_of(message, cluster=configuration.cluster, portfolio=portfolio)
            print(f"to {', '.join(message.sinks)}: {words.title}")
            print("".join(f"    {line}\n" for line in words.body.splitlines()))
    if not transitions:
        print("nothing is sent: no transition of the catalogue lies between the two")
    return 0


def _transitions(before: dict[str, Any], after: dict[str, Any]) -> Sequence[Transition]:
    status_before, status = (
        read_status_json(status_text(one.get("status"))) for one in (before, after)
    )
    cursor_before = cursor_of(status_before, {}, Cursor(), "")
    now = cursor_of(status, {}, cursor_before, "")
    return transitions_between(cursor_before, now, status, origin_of(product_record(after)))
