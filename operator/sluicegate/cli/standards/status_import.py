"""`sluicegate import --format status`: the status of an export, written to objects of a cluster."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sluicegate.api.names import FIELD_MANAGER
from sluicegate.cli.inputs.cluster_access import kube_api
from sluicegate.cli.inputs.yaml_files import read_yaml
from sluicegate.errors import invalid
from sluicegate.kube.client import KubeApi
from sluicegate.kube.errors import KubeError, NotFound
from sluicegate.kube.resources import (
    DATA_PRODUCT_REVIEWS,
    DATA_PRODUCTS,
    Key,
    Resource,
    key_of,
)

_RESOURCES: Final[Mapping[str, Resource]] = {
    resource.kind: resource for resource in (DATA_PRODUCTS, DATA_PRODUCT_REVIEWS)
}
_LEFT_METADATA: Final = frozenset({"uid", "generation"})
"""Metadata of an export that the new API server sets."""


def exported_documents(sources: Iterable[str]) -> list[dict[str, Any]]:
    """Return the DataProducts and reviews of files that `export --format status` wrote, products first.

    Raises
    ------
    InvalidInput
        A file can't be read, or holds something else.
    """
    documents = [document for source in sources for document in _documents(source)]
    for document in documents:
        kind = document.get("kind") if isinstance(document, dict) else None
        if kind not in _RESOURCES:
            given = "is missing" if kind is None else f'is "{kind}"'
            raise invalid("kind", f"{given}: give files of `sluicegate export --format status`")
    return sorted(documents, key=lambda document: list(_RESOURCES).index(document["kind"]))


def _documents(source: str) -> list[Any]:
    return [
        item
        for document in read_yaml(source)
        for item in (
            document["items"]
            if isinstance(document, dict) and isinstance(document.get("items"), list)
            else document
            if isinstance(document, list)
            else [document]
        )
    ]


async def import_status(
    documents: Iterable[Mapping[str, Any]], *, overwrite: bool = False, dry_run: bool = False
) -> int:
    """Create what is missing and write each status; print a line an object; return how many failed.

    A product that has a stable version keeps its status, unless `overwrite` is set: an operator
    runs already, and its newer status would be lost. A sealed or signed review is never changed.
    """
    failed = 0
    async with kube_api(FIELD_MANAGER) as api:
        restore = _Restore(api, overwrite, dry_run)
        for document in documents:
            resource = _RESOURCES[document["kind"]]
            try:
                result = await restore.object(resource, document)
            except KubeError as error:
                failed += 1
                print(f"{resource.kind} {key_of(document)}: {error}", file=sys.stderr)
            else:
                print(f"{resource.kind} {key_of(document)}: {result}")
    return failed


@dataclass(slots=True)
class _Restore:
    """An import in progress, with the uids of the restored products by their former uids."""

    api: KubeApi
    overwrite: bool
    dry_run: bool
    uids: dict[str, str] = field(default_factory=dict)

    async def object(self, resource: Resource, document: Mapping[str, Any]) -> str:
        """Restore an object and return the action as text."""
        key, status = key_of(document), document.get("status") or {}
        live = await self._live(resource, key)
        if live is not None and self._is_kept(resource, live):
            self._remember(document, live)
            return "kept: it has a status, which --overwrite replaces"
        if self.dry_run:
            return "would be restored" if live else "would be created and restored"
        created = live is None
        if live is None:
            live = await self.api.create(resource, self._new(resource, document))
        self._remember(document, live)
        if status:
            same_spec = live.get("spec") == document.get("spec")
            generation = live["metadata"]["generation"] if same_spec else 0
            await self.api.apply_status(
                resource,
                {
                    "metadata": {"namespace": key.namespace, "name": key.name},
                    "status": observed_at(status, generation),
                },
                resource_version=live["metadata"]["resourceVersion"],
            )
        return "created and restored" if created else "restored"

    async def _live(self, resource: Resource, key: Key) -> dict[str, Any] | None:
        try:
            return await self.api.get(resource, key)
        except NotFound:
            return None

    def _is_kept(self, resource: Resource, live: Mapping[str, Any]) -> bool:
        status = live.get("status") or {}
        if resource is DATA_PRODUCTS:
            return bool(status.get("stable")) and not self.overwrite
        return bool(status.get("digest")) or bool(status and not self.overwrite)

    def _remember(self, document: Mapping[str, Any], live: Mapping[str, Any]) -> None:
        self.uids[document["metadata"].get("uid", "")] = live["metadata"]["uid"]

    def _new(self, resource: Resource, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object to create; an open review belongs to the product's new uid.

        A sealed review keeps the former uid: its digest covers it.
        """
        metadata = {
            name: value
            for name, value in document["metadata"].items()
            if name not in _LEFT_METADATA
        }
        spec = dict(document.get("spec") or {})
        is_sealed = bool((document.get("status") or {}).get("digest"))
        if resource is DATA_PRODUCT_REVIEWS and not is_sealed:
            reference = dict(spec.get("productRef") or {})
            reference["uid"] = self.uids.get(reference.get("uid", ""), reference.get("uid", ""))
            spec["productRef"] = reference
        return {"metadata": metadata, "spec": spec}


def observed_at(status: Mapping[str, Any], generation: int) -> dict[str, Any]:
    """Return a status with this observed generation in place of the former object's."""
    result = dict(status)
    if "observedGeneration" in result:
        result["observedGeneration"] = generation
    if "conditions" in result:
        result["conditions"] = [
            {**condition, "observedGeneration": generation}
            if "observedGeneration" in condition
            else dict(condition)
            for condition in result["conditions"]
        ]
    return result
