"""`sluicegate check TARGET…`: checks of bentos and products without a cluster."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.bento_files import opened, packages_in
from sluicegate.cli.inputs.product_files import read_products
from sluicegate.cli.models.product_findings import (
    fit_findings,
    misnamed_service,
    product_findings,
    project_fit_findings,
)
from sluicegate.cli.models.project_findings import (
    entry_service,
    is_project,
    project_findings,
)
from sluicegate.cli.models.serving_trial import trial
from sluicegate.cli.printing.findings import blocking_findings, findings_case, findings_document
from sluicegate.cli.printing.junit import JUNIT, as_junit
from sluicegate.cli.printing.output import add_output, write
from sluicegate.errors import InvalidInput, invalid
from sluicegate_service.bentos import Bento, BentoInvalid
from sluicegate_service.constraints import python_of
from sluicegate_service.findings import Finding, bento_findings

PRODUCT_FILE: Final = "product.yaml"
Packages = Callable[[str], Mapping[str, str]]
"""Packages of the runtime image of a Python, such as `3.13`: versions by name."""
SUFFIXES: Final = (".yaml", ".yml", ".json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Check that a bento runs in the runtime image, and that it meets its product's contract of"
        " feedback and training. Each finding names the place, the value and the way out."
    )
    parser.add_argument(
        "targets",
        metavar="BENTO|DIR|PRODUCT.YAML",
        nargs="+",
        type=Path,
        help="a bento (folder or .bento file), a project's folder, a file with a DataProduct; a"
        " bento is compared with the product that is given with it",
    )
    parser.add_argument(
        "--constraints",
        type=Path,
        help="packages of another runtime image, as `pip freeze` writes them",
    )
    parser.add_argument(
        "--serve", action="store_true", help="also start the bento here, until it is ready"
    )
    add_output(parser, formats=("table", "json", "yaml", JUNIT))
    parser.epilog = "Exit codes: 0 no finding prevents it from running, 1 one does, 2 wrong input."


def run(args: argparse.Namespace) -> int:
    """Print the findings; return 1 if one of them prevents the bento from running."""
    packages = partial(packages_in, args.constraints)
    plain = args.output == "table"
    findings: list[Finding] = []
    for finding in _findings(args.targets, packages, serve=args.serve):
        if plain:
            print(finding.line(), flush=True)
        findings.append(finding)
    is_blocked = bool(blocking_findings(findings))
    if args.output == JUNIT:
        case = findings_case(" ".join(map(str, args.targets)), findings)
        print(as_junit("sluicegate check", [case]), end="")
    elif not plain:
        write(findings_document(findings), args.output)
    elif not is_blocked:
        print("no finding prevents it from running" if findings else "it fits")
    return 1 if is_blocked else 0


def _findings(targets: list[Path], packages: Packages, *, serve: bool) -> Iterator[Finding]:
    products: list[DataProduct] = []
    bentos: list[Bento] = []
    projects: list[Path] = []
    with ExitStack() as stack:
        for target in targets:
            if target.suffix in SUFFIXES and not target.is_dir():
                if not target.exists():
                    raise invalid(str(target), "there is no such file")
                yield from _product(target, products)
            elif target.is_dir() and not (target / "bento.yaml").is_file():
                yield from _project(target, packages, products, given=targets)
                projects.append(target)
            else:
                yield from _bento(target, packages, stack, bentos)
        if len(products) == 1:
            yield from _fit(products[0], projects, bentos)
        for bento in bentos if serve else ():
            if finding := trial(bento.folder):
                yield finding


def _fit(product: DataProduct, projects: list[Path], bentos: list[Bento]) -> Iterator[Finding]:
    """Yield the findings about projects and bentos that don't match a product."""
    for project in projects:
        yield from project_fit_findings(product, project)
        if entry := entry_service(project):
            yield from misnamed_service(product, entry, "project")
    for bento in bentos:
        yield from fit_findings(product, bento)


def _product(path: Path, products: list[DataProduct]) -> Iterator[Finding]:
    try:
        for product in read_products(str(path)):
            products.append(product)
            yield from product_findings(product)
    except InvalidInput as error:
        for problem in error.problems:
            yield Finding.error(problem.path or str(path), problem.message)


def _project(
    folder: Path, packages: Packages, products: list[DataProduct], *, given: list[Path]
) -> Iterator[Finding]:
    if not is_project(folder):
        problem = (
            "has neither a bento (bento.yaml) nor a project to build one from (bentofile.yaml, or a"
            " service.py with a bentoml.images.Image)"
        )
        raise invalid(str(folder), problem)
    yield from project_findings(folder, packages)
    is_given = any(path.resolve() == (folder / PRODUCT_FILE).resolve() for path in given)
    if (folder / PRODUCT_FILE).is_file() and not is_given:
        yield from _product(folder / PRODUCT_FILE, products)


def _bento(
    path: Path, packages: Packages, stack: ExitStack, bentos: list[Bento]
) -> Iterator[Finding]:
    try:
        bento = stack.enter_context(opened(path))
    except BentoInvalid as error:
        yield Finding.error(str(path), str(error))
        return
    bentos.append(bento)
    yield from bento_findings(bento, packages(python_of(bento.python)))
