"""`sluicegate import`: spec.slos from SLOs in the format of a published standard, or status from a backup."""

import argparse
import asyncio
import sys
from pathlib import Path

from sluicegate.cli.inputs.access_options import add_access
from sluicegate.cli.printing.output import add_output, as_json, as_yaml, file_text, write_text
from sluicegate.cli.standards.status_import import exported_documents, import_status
from sluicegate.errors import invalid, unreadable
from sluicegate.standards.located_yaml import Located, located_documents
from sluicegate.standards.openslo_import import has_missing, import_openslo


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Print spec.slos of the SLOs in files of OpenSLO v1. What has no counterpart is named on standard"
        " error with its line and the way out. With --format status: create the DataProducts and reviews of"
        " `sluicegate export --format status` where they are missing, and write their status."
    )
    parser.add_argument(
        "sources", metavar="FILE", nargs="+", help="YAML or JSON; - is standard input"
    )
    parser.add_argument(
        "--format", required=True, choices=("openslo", "status"),
        help="the standard; or status: a backup, into the cluster of the kubeconfig",
    )  # fmt: skip
    parser.add_argument(
        "--service", default="", help="only SLOs of this service, where the files have several"
    )
    add_output(parser, formats=("yaml", "json"))
    parser.add_argument("--file", type=Path, help="file to write; standard output when left out")
    parser.add_argument(
        "--overwrite", action="store_true",
        help="with --format status: replace the status of products that serve, too",
    )  # fmt: skip
    parser.add_argument(
        "--dry-run", action="store_true", help="with --format status: change nothing, print what would be"
    )  # fmt: skip
    add_access(parser, namespace=False)
    parser.epilog = "Exit codes: 0 done, 1 an SLO as a whole isn't in the result, or a status was refused, 2 wrong input."


def run(args: argparse.Namespace) -> int:
    """Print the SLOs, or write each status; return 1 if one of the files isn't in the result."""
    if args.format == "status":
        documents_of_backup = exported_documents(args.sources)
        failed = asyncio.run(
            import_status(documents_of_backup, overwrite=args.overwrite, dry_run=args.dry_run)
        )
        return 1 if failed else 0
    if args.overwrite or args.dry_run:
        raise invalid("--overwrite", "and --dry-run are for --format status: leave them out")
    documents = [
        document for file in args.sources for document in located_documents(_read(file), file)
    ]
    result = import_openslo(documents, args.service)
    for remark in result.remarks:
        print(remark.line(), file=sys.stderr)
    if not result.slos and not result.remarks:
        raise invalid(" ".join(args.sources), _no_slo(documents, args.service))
    answer = {"spec": {"slos": result.slos}}
    write_text(as_json(answer) if args.output == "json" else as_yaml(answer), args.file)
    return 1 if has_missing(result.remarks) else 0


def _no_slo(documents: list[Located], service: str) -> str:
    services = sorted({document.text("spec", "service") for document in documents} - {""})
    if service and services:
        return f"has no SLO of the service {service}: it has those of {', '.join(services)}"
    return "has no document with apiVersion openslo/v1 and kind SLO: give a file with at least one"


def _read(file: str) -> str:
    try:
        return file_text(file)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(file, error) from error
