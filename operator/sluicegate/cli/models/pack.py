"""`sluicegate pack BENTO REF`: conversion of a bento to an OCI image, which is pushed."""

import argparse
import sys
from pathlib import Path

from sluicegate.cli.inputs.bento_files import opened, packages_in
from sluicegate.cli.printing.findings import blocking_findings
from sluicegate.errors import SluicegateError, invalid
from sluicegate_service.bentos import Bento, BentoInvalid
from sluicegate_service.constraints import python_of
from sluicegate_service.findings import bento_findings
from sluicegate_service.push import PushError, pack_and_push


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "bento", type=Path, help="folder or .bento file, as `bentoml export` writes"
    )
    parser.add_argument("reference", metavar="REF", help="HOST/PATH or HOST/PATH:TAG to push to")
    parser.add_argument(
        "--plain-http",
        action="store_true",
        default=None,
        help="speak HTTP without TLS (default: only with the hosts in"
        " SLUICEGATE_PLAIN_HTTP_REGISTRIES)",
    )
    parser.add_argument(
        "--sign-key",
        metavar="FILE",
        help="private key (P-256, PKCS #8 in PEM) by which the image is signed for `cosign verify"
        " --key` (default: that of SLUICEGATE_SIGNING_KEY); COSIGN_PASSWORD has its password",
    )
    parser.add_argument(
        "--constraints",
        type=Path,
        help="packages of the runtime image that will serve it, as `pip freeze` writes them"
        " (default: those of the project's own)",
    )
    parser.add_argument(
        "--unchecked", action="store_true", help="push it even if that runtime image can't serve it"
    )
    parser.add_argument(
        "--quiet", "-q", action="store_true", help="print the reference by digest alone"
    )


def run(args: argparse.Namespace) -> int:
    """Check, push, and print the block for a DataProduct's spec.model."""
    try:
        with opened(args.bento) as bento:
            if not args.unchecked:
                _check(bento, args.constraints)
            image = pack_and_push(
                bento.folder, args.reference, plain_http=args.plain_http, sign_key=args.sign_key
            )
            print(image if args.quiet else bento_block(bento, image))
    except BentoInvalid as error:
        raise invalid("", str(error)) from error
    except PushError as error:
        raise SluicegateError(str(error)) from error
    return 0


def bento_block(bento: Bento, image: str) -> str:
    """Return the block `bento:` of a DataProduct's spec.model, as YAML."""
    return f"bento:\n  image: {image}\n  version: {bento.version}\n  service: {bento.service}"


def _check(bento: Bento, constraints: Path | None) -> None:
    findings = list(bento_findings(bento, packages_in(constraints, python_of(bento.python))))
    for finding in findings:
        print(finding.line(), file=sys.stderr)
    if blocking_findings(findings):
        raise SluicegateError(
            "nothing was pushed, as the runtime image can't serve this bento (see above);"
            " --constraints FILE names another runtime's packages, --unchecked pushes anyway"
        )
