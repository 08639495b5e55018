"""`sluicegate init NAME`: a product from a template."""

import argparse
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

from sluicegate.api.names import MAX_NAME_LENGTH
from sluicegate.errors import InvalidInput, Problem, invalid
from sluicegate_service.constraints import FILE, packages_of

TEMPLATES: Final = {
    "plain": "serves a model, with SLOs on availability and latency",
    "outcomes": "also accepts feedback at /feedback, with an SLO on outcomes and retraining",
}
SUFFIX: Final = ".in"
"""Suffix of a template's files: they aren't valid Python before the names are filled in."""
NAME: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help="name of the product, e.g. iris")
    parser.add_argument(
        "--template",
        choices=tuple(TEMPLATES),
        default="plain",
        help="; ".join(f"{name}: {purpose}" for name, purpose in TEMPLATES.items())
        + " (default: plain)",
    )
    parser.add_argument(
        "--directory", type=Path, help="target folder (default: a folder of that name)"
    )
    parser.add_argument(
        "--namespace", default="default", help="namespace of the product (default: default)"
    )
    parser.add_argument(
        "--registry",
        default="registry.example/bentos",
        help="repository of bentos: HOST/PATH",
    )
    parser.add_argument(
        "--training-registry",
        metavar="HOST/PATH",
        help="the same repository as pods reach it, to which trainings push (default: --registry)",
    )
    parser.add_argument(
        "--log-claim",
        metavar="NAME",
        help="with the template outcomes: ReadWriteMany PersistentVolumeClaim to which the pods log"
        " predictions with their labels, the rows of later trainings (default: none)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files; none is overwritten."""
    if not NAME.fullmatch(args.name) or len(args.name) > MAX_NAME_LENGTH:
        problem = (
            f'is "{args.name}": a product\'s name has at most {MAX_NAME_LENGTH} characters of a-z,'
            " 0-9 and '-', and begins with a letter, e.g. search-ranking"
        )
        raise invalid("NAME", problem)
    if args.log_claim and args.template != "outcomes":
        raise invalid(
            "--log-claim", f"needs labels, and the template {args.template} accepts none: add"
            " --template outcomes"
        )  # fmt: skip
    folder: Path = args.directory or Path(args.name)
    words = _words(args)
    texts_by_path = {folder / name: _fill_in(text, words) for name, text in template(args.template)}
    if existing := sorted(str(path) for path in texts_by_path if path.exists()):
        problem = "exists already: choose another --directory, or remove it"
        raise InvalidInput(Problem(path, problem) for path in existing)
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts_by_path.items():
        path.write_text(text, encoding="utf-8")
        print(path)
    print(f"next steps: {folder / 'README.md'}")
    return 0


def template(name: str) -> Iterator[tuple[str, str]]:
    """Yield names and texts of a template's files."""
    folder = files("sluicegate.cli.models") / "templates" / name
    for file in sorted(folder.iterdir(), key=lambda path: path.name):
        if file.name.endswith(SUFFIX):
            yield file.name.removesuffix(SUFFIX), file.read_text(encoding="utf-8")


def _words(args: argparse.Namespace) -> dict[str, str]:
    packages = packages_of(FILE.read_text(encoding="utf-8"))
    return {
        "name": args.name,
        "class": "".join(part.capitalize() for part in re.split(r"-+", args.name)),
        "namespace": args.namespace,
        "registry": args.registry.rstrip("/"),
        "trainings": (args.training_registry or args.registry).rstrip("/"),
        "log": _log(args.log_claim, args.name),
        "bentoml": packages["bentoml"],
        "sklearn": packages["scikit-learn"],
    }


def _log(claim: str | None, name: str) -> str:
    """Return `serving.log` as a line of YAML, which is a comment without a claim."""
    line = f"log: {{sample: 100, to: {{file: {{claimName: {claim or f'{name}-log'}}}}}}}"
    if claim:
        return f"{line}   # rows of later trainings"
    return f"# {line}   # rows of later trainings: a ReadWriteMany volume, or a bucket (s3)"


def _fill_in(text: str, words: dict[str, str]) -> str:
    """Fill in each {{word}} of `text`; an unknown word is a mistake of the template."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: words[match[1]], text)
