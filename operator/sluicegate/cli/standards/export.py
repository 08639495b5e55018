"""`sluicegate export`: products in the formats of published standards, or with their status for a backup."""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.inputs.cluster_access import product_of
from sluicegate.cli.inputs.object_name import parse_key, parse_name
from sluicegate.cli.inputs.product_files import read_products
from sluicegate.cli.inputs.yaml_files import read_yaml
from sluicegate.cli.printing.output import add_output, as_json, as_yaml, write_text
from sluicegate.cli.standards.status_export import exported_objects
from sluicegate.errors import invalid
from sluicegate.kube.resources import Key
from sluicegate.standards.backstage import backstage_documents
from sluicegate.standards.odcs import odcs_documents
from sluicegate.standards.odps import odps_documents
from sluicegate.standards.openslo import openslo_documents

Document = dict[str, Any]
BACKSTAGE: Final = "backstage"
STATUS: Final = "status"
FORMATS: Final[Mapping[str, Callable[[DataProduct], Iterator[Document]]]] = {
    "openslo": openslo_documents, "odps": odps_documents, "odcs": odcs_documents, BACKSTAGE: backstage_documents,
}  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "product", nargs="?",
        help="NAMESPACE/NAME of a DataProduct, or NAME; may be left out with --from and with --format status",
    )  # fmt: skip
    parser.add_argument(
        "--format", required=True, choices=(*FORMATS, STATUS),
        help="the standard; or status: products and reviews as a backup, for `sluicegate import`",
    )  # fmt: skip
    parser.add_argument(
        "--all-namespaces",
        "-A",
        action="store_true",
        help="of all namespaces, with --format status",
    )
    add_output(parser, formats=("yaml", "json"))
    parser.add_argument("--file", type=Path, help="file to write; standard output when left out")
    parser.add_argument(
        "--from", dest="files", nargs="+", default=[], metavar="FILE",
        help="files with products (YAML or JSON, lists too; - is standard input), not the cluster",
    )  # fmt: skip
    parser.add_argument(
        "--openapi", type=Path, metavar="FILE",
        help="OpenAPI document of the product, as it serves it at /docs.json, for the API of backstage",
    )  # fmt: skip
    add_access(parser)
    parser.epilog = "Uses the kubeconfig as kubectl does. Several documents are a stream in YAML, a list in JSON."


def run(args: argparse.Namespace) -> int:
    """Write the documents."""
    if args.format == STATUS:
        return _export_status(args)
    if args.all_namespaces:
        raise invalid("--all-namespaces", "is for --format status: name a product")
    products = _products(args)
    write = FORMATS[args.format]
    if args.openapi:
        if args.format != BACKSTAGE or len(products) != 1:
            raise invalid("--openapi", "is for one product and the format backstage: leave it out")
        write = partial(backstage_documents, openapi_text=_openapi(args.openapi))
    documents = [document for product in products for document in write(product)]
    write_text(_as_json(documents) if args.output == "json" else _as_yaml(documents), args.file)
    return 0


def _export_status(args: argparse.Namespace) -> int:
    if args.files or args.openapi:
        raise invalid("--from", "has no status: leave it out, and --openapi, with --format status")
    if args.product and args.all_namespaces:
        raise invalid("--all-namespaces", "excludes a product: leave one of them out")
    key = parse_name(args.product, argument="product") if args.product else None
    namespace = "" if args.all_namespaces else parse_name("-", argument="product").namespace
    documents = asyncio.run(exported_objects(namespace, key))
    write_text(_as_json(documents) if args.output == "json" else _as_yaml(documents), args.file)
    return 0


def _openapi(file: Path) -> str:
    documents = read_yaml(str(file))
    if len(documents) != 1 or not isinstance(documents[0], dict) or "openapi" not in documents[0]:
        raise invalid(
            str(file), "is no OpenAPI document: save what the product serves at /docs.json"
        )
    return file.read_text(encoding="utf-8")


def _products(args: argparse.Namespace) -> list[DataProduct]:
    if not args.files:
        if args.product is None:
            raise invalid("product", "is missing: name a product, or give files with --from")
        key = parse_name(args.product, argument="product")
        return [DataProduct.parse(asyncio.run(product_of(key)))]
    products = [product for file in args.files for product in read_products(file)]
    return products if args.product is None else [_of_name(products, args.product)]


def _of_name(products: list[DataProduct], name: str) -> DataProduct:
    key = parse_key(name, argument="product")
    for product in products:
        if Key(*product.metadata.key) == key:
            return product
    raise invalid("product", f"no file of --from has the DataProduct {key}: check the name")


def _as_yaml(documents: list[Document]) -> str:
    return "---\n".join(map(as_yaml, documents))


def _as_json(documents: list[Document]) -> str:
    if len(documents) == 1:
        return as_json(documents[0])
    return json.dumps(documents, indent=2) + "\n"
