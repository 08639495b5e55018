"""`sluicegate plan --changes`: what a manifest leads to, by the live object."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.names import LABEL_PRODUCT
from sluicegate.api.product import DataProduct, read_status
from sluicegate.cli.inputs.access_options import selection_of
from sluicegate.cli.inputs.product_files import read_documents
from sluicegate.cli.printing.junit import JUNIT, JunitCase, as_junit
from sluicegate.cli.printing.output import document, write, write_lines
from sluicegate.cli.printing.terminal import aligned
from sluicegate.cli.trials.planned_change import (
    PlannedChange,
    planned_change,
    refused_change,
)
from sluicegate.cli.trials.planned_objects import COMPARED, PlannedOutcome, Running
from sluicegate.errors import Problem
from sluicegate.kube.direct_client import DirectClient
from sluicegate.kube.errors import Forbidden, NotFound
from sluicegate.kube.kubeconfig import read_access
from sluicegate.kube.resources import DATA_PRODUCTS, Key, Resource
from sluicegate.settings import Settings


def print_changes(args: argparse.Namespace, settings: Settings) -> int:
    """Print the planned change of each DataProduct of the file; return 1 if one is refused."""
    changes = list(_changes(args, settings))
    match args.output:
        case "json" | "yaml":
            documents = [_as_document(change) for change in changes]
            write(document("PlannedChanges", changes=documents), args.output)
        case format_name if format_name == JUNIT:
            sys.stdout.write(as_junit("sluicegate plan", map(_as_case, changes)))
        case "name":
            write_lines(f"{change.change} {change.key}" for change in changes)
        case _:
            write_lines(_as_lines(changes))
    return 1 if any(change.change is PlannedOutcome.REFUSED for change in changes) else 0


def _changes(args: argparse.Namespace, settings: Settings) -> Iterator[PlannedChange]:
    access = read_access(selection_of(args), os.environ)
    documents = list(read_documents(args.file))
    default_namespace = args.namespace or access.namespace
    placed_documents = [_placed(body, default_namespace) for body in documents]
    keys_of_file = frozenset(key for key, _ in placed_documents)
    keys: set[Key] = set()
    with DirectClient(access) as client:
        for key, placed in placed_documents:
            if problems := tuple(_misplaced(key, args.namespace, twice=key in keys)):
                yield refused_change(key, problems)
                continue
            keys.add(key)
            try:
                edited = DataProduct.parse(placed)
            except InvalidProduct as error:
                yield refused_change(key, error.problems)
                continue
            change = _change(client, edited, settings)
            notes = _absent_dependencies(client, edited, keys_of_file)
            yield replace(change, effects=(*change.effects, *notes))


def _placed(body: Mapping[str, Any], default_namespace: str) -> tuple[Key, Mapping[str, Any]]:
    """Return the key of a document, and the document with its namespace."""
    meta = body.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    namespace = str(meta.get("namespace") or default_namespace)
    key = Key(namespace, str(meta.get("name") or ""))
    return key, {**body, "metadata": {**meta, "namespace": namespace}}


def _misplaced(key: Key, namespace: str, *, twice: bool) -> Iterator[Problem]:
    """Yield why a document isn't a separate object; `namespace` is the -n option."""
    if not key.name:
        yield Problem("metadata.name", "is required: set it")
    elif namespace and key.namespace != namespace:
        text = (
            f'is "{key.namespace}", but --namespace is "{namespace}": leave --namespace out, or'
            f" pass --namespace={key.namespace}"
        )
        yield Problem("metadata.namespace", text)
    elif twice:
        text = f"{key} is in the file already, and the last one would apply: keep one of them"
        yield Problem("metadata.name", text)


def _change(client: DirectClient, edited: DataProduct, settings: Settings) -> PlannedChange:
    """Return the effects of a manifest on the live object, which may be invalid."""
    key, notes = Key(*edited.metadata.key), list[str]()
    try:
        body = client.get(DATA_PRODUCTS, key)
    except NotFound:
        return planned_change(None, edited, settings)
    try:
        live = DataProduct.parse(body)
        follows = not live.spec.suspend
    except InvalidProduct as error:
        live = _with_spec(edited, body)
        follows = False
        notes += [
            f"the live object isn't valid, and the manifest corrects it: {problem}"
            for problem in error.problems
        ]
        notes.append(
            "the live spec can't be read: its other fields aren't compared with the manifest"
        )
    if follows or live.status.stable is None:
        change = planned_change(live, edited, settings)
    else:
        running, hidden_kinds = _running(client, key)
        change = planned_change(live, edited, settings, running)
        notes += [
            f"{kind.qualified} aren't compared: you may not list them" for kind in hidden_kinds
        ]
    return replace(change, effects=(*notes, *change.effects))


def _absent_dependencies(
    client: DirectClient, edited: DataProduct, keys_of_file: AbstractSet[Key]
) -> Iterator[str]:
    """Yield a note on each product of spec.dependsOn that neither exists nor is in the file, with a similar name."""
    edited_key = Key(*edited.metadata.key)
    for dependency in edited.spec.depends_on:
        key = Key(dependency.namespace or edited_key.namespace, dependency.name)
        if key in keys_of_file or _exists(client, key):
            continue
        beside = _products_beside(client, key) | keys_of_file
        names = [other.name for other in beside - {edited_key} if other.namespace == key.namespace]
        similar = get_close_matches(key.name, names, n=1)
        proposal = f"did you mean {similar[0]}?" if similar else "create it, or correct the name"
        yield f"spec.dependsOn: there is no DataProduct {key}: {proposal}"


def _exists(client: DirectClient, key: Key) -> bool:
    """Return False only if the API server has no such product; a product that the user may not read may exist."""
    try:
        client.get(DATA_PRODUCTS, key)
    except NotFound:
        return False
    except Forbidden:
        return True
    return True


def _products_beside(client: DirectClient, key: Key) -> set[Key]:
    """Return the products in the namespace of a key; empty where they may not be listed."""
    try:
        bodies = list(client.items(DATA_PRODUCTS, namespace=key.namespace))
    except Forbidden:
        return set()
    return {Key(key.namespace, str(body["metadata"]["name"])) for body in bodies}


def _with_spec(edited: DataProduct, body: Mapping[str, Any]) -> DataProduct:
    """Return the live object with the manifest's spec, as its own is invalid."""
    meta = edited.metadata.replace(uid=str(body["metadata"].get("uid", "")))
    return edited.replace(metadata=meta, status=read_status(body.get("status")))


def _running(client: DirectClient, key: Key) -> tuple[Running, list[Resource]]:
    """Return the running objects of a product, and the kinds that may not be listed."""
    objects: dict[Resource, tuple[dict[str, Any], ...]] = {}
    hidden_kinds: list[Resource] = []
    labels = f"{LABEL_PRODUCT}={key.name}"
    for resource in COMPARED:
        try:
            items = client.items(resource, namespace=key.namespace, labels=labels)
            objects[resource] = tuple(items)
        except NotFound:  # the kind isn't installed
            objects[resource] = ()
        except Forbidden:
            hidden_kinds.append(resource)
    return Running(objects), hidden_kinds


def _as_document(change: PlannedChange) -> dict[str, Any]:
    return {
        "namespace": change.key.namespace,
        "name": change.key.name,
        "change": str(change.change),
        "effects": list(change.effects),
        "problems": [
            {"path": problem.path, "message": problem.message} for problem in change.problems
        ],
    }


def _as_case(change: PlannedChange) -> JunitCase:
    notes = (f"{change.change}", *change.effects)
    return JunitCase(str(change.key), tuple(map(str, change.problems)), notes)


def _as_lines(changes: list[PlannedChange]) -> Iterator[str]:
    rows = [("NAMESPACE", "NAME", "CHANGE")]
    rows += [(change.key.namespace, change.key.name, str(change.change)) for change in changes]
    yield from aligned(rows)
    for change in changes:
        if texts := (*map(str, change.problems), *change.effects):
            yield ""
            yield f"{change.key}:"
            yield from (f"  {text}" for text in texts)
