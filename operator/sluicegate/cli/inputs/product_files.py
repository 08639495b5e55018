"""DataProducts in files of YAML or JSON."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from sluicegate.api.names import KIND
from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.yaml_files import read_yaml
from sluicegate.errors import invalid


class _Loader(yaml.SafeLoader):
    """Reads YAML as kubectl does: an unquoted date is text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML has it on the class
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


LISTS: Final = frozenset({"List", f"{KIND}List"})
"""Kinds of documents that hold others."""


def read_products(file: str) -> Iterator[DataProduct]:
    """Yield the DataProducts in a file. Raises InvalidInput, naming the field, for any mistake."""
    yield from map(DataProduct.parse, read_documents(file))


def read_documents(file: str) -> list[dict[str, Any]]:
    """Return the documents of DataProducts in a file. Raises InvalidInput if there is none."""
    documents = [
        document
        for document in _flat(read_yaml(file, loader=_Loader))
        if isinstance(document, dict) and document.get("kind") == KIND
    ]
    if not documents:
        raise invalid(file, f"holds no {KIND}: give a file with at least one")
    return documents


def _flat(documents: list[Any]) -> Iterator[Any]:
    """Yield the documents, with the items of a List (`kubectl get -o yaml`) in its place."""
    for document in documents:
        if isinstance(document, dict) and document.get("kind") in LISTS:
            items = document.get("items")
            yield from _flat(items if isinstance(items, list) else [])
        else:
            yield document
