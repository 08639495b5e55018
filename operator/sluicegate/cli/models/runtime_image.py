"""`sluicegate runtime-image BENTO REF`: the runtime image with the packages that a bento needs."""

import argparse
from pathlib import Path

from sluicegate.cli.inputs.bento_files import opened, packages_in
from sluicegate.errors import SluicegateError, invalid
from sluicegate_service.base_image import ArchiveSource, RegistrySource
from sluicegate_service.bentos import Bento, BentoInvalid
from sluicegate_service.constraints import PYTHON, PYTHONS, python_of
from sluicegate_service.registry import PushError, Target
from sluicegate_service.runtime_image import (
    MACHINES,
    build_and_push,
    dockerfile,
    packages_to_add,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Add the packages that a bento has locked, and that the runtime image lacks, to that image,"
        " and push the result for serving.runtimeImage. It needs no container engine."
    )
    parser.add_argument("bento", type=Path, help="folder or .bento file")
    parser.add_argument("reference", metavar="REF", nargs="?", help="HOST/PATH:TAG to push to")
    parser.add_argument(
        "--base",
        required=True,
        metavar="IMAGE|ARCHIVE",
        help="the runtime image of the bento's Python: HOST/PATH@sha256:…, or an OCI archive on disk",
    )
    parser.add_argument(
        "--constraints", type=Path, help="packages of the base, if it isn't the project's own"
    )
    parser.add_argument("--architecture", choices=tuple(MACHINES), default="amd64")
    parser.add_argument("--plain-http", action="store_true", default=None, help="HTTP without TLS")
    parser.add_argument(
        "--docker",
        type=Path,
        metavar="FOLDER",
        help="push nothing; write a Dockerfile and its requirements.txt there",
    )


def run(args: argparse.Namespace) -> int:
    """Build the image, and print it by digest."""
    if (args.reference is None) == (args.docker is None):
        raise invalid("REF", "give either REF to push to, or --docker FOLDER")
    try:
        with opened(args.bento) as bento:
            python = _python(bento)
            packages = packages_in(args.constraints, python)
            lines = packages_to_add(bento, packages, args.architecture)
            if not lines:
                print(f"{args.base} has all that {bento.name}:{bento.version} asks for")
            elif args.docker:
                _write(args.docker, dockerfile(args.base, python), lines)
            else:
                print(_push(args, python, lines))
    except BentoInvalid as error:
        raise invalid("", str(error)) from error
    except PushError as error:
        raise SluicegateError(str(error)) from error
    return 0


def _python(bento: Bento) -> str:
    """Return the Python of the base, which is the bento's."""
    python = python_of(bento.python)
    if not (bento.python or PYTHON).startswith(python):
        raise SluicegateError(
            f"the bento was built for Python {bento.python}, and there are runtime images of Python"
            f' {", ".join(PYTHONS)}: set python_version to "{PYTHON}" and build it again'
        )
    return python


def _push(args: argparse.Namespace, python: str, lines: list[str]) -> str:
    base = Path(args.base)
    source = (
        ArchiveSource(base)
        if base.is_file()
        else RegistrySource(args.base, plain_http=args.plain_http, auth=None)
    )
    target = Target.parse(args.reference, plain_http=args.plain_http)
    return build_and_push(lines, source, target, python=python, architecture=args.architecture)


def _write(folder: Path, dockerfile_text: str, lines: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "Dockerfile").write_text(dockerfile_text, encoding="utf-8")
    print(f"docker build --tag IMAGE {folder}")
