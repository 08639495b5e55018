"""`sluicegate train --local`: the training of a product as in its Job, and the hold-out gate."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from sluicegate.api.errors import problem
from sluicegate.api.product import DataProduct
from sluicegate.api.retraining import DEFAULT_HOLD_OUT_REGRESSION, Retraining
from sluicegate.cli.inputs.bento_files import opened, packages_in
from sluicegate.cli.inputs.product_files import read_products
from sluicegate.cli.models.product_findings import training_without_wheels
from sluicegate.cli.models.training_gate import lines, objection, worst
from sluicegate.errors import SluicegateError, invalid
from sluicegate.policy.model.hold_out_margin import HoldOutMargin
from sluicegate.policy.model.terms import hold_out_margin
from sluicegate.policy.retraining.holdout_gate import GateVerdict
from sluicegate.reconcile.observe.training_result import Report
from sluicegate_service import environment as names
from sluicegate_service.bentos import Bento, BentoInvalid
from sluicegate_service.constraints import python_of
from sluicegate_service.registry import PushError
from sluicegate_service.runtime_image import local_environment

DEFAULT_COMMAND: Final = ("python", "-m", "train")
DEFAULT_SECONDS: Final = 7200
PYTHONS: Final = ("python", "python3")
_PROXIES: Final = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
SHELL_VARIABLES: Final = frozenset(
    {
        "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "SSL_CERT_FILE", "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE", *_PROXIES, *map(str.upper, _PROXIES),
    }
)  # fmt: skip
"""Variables of the shell that describe the machine and its network."""


@dataclass(frozen=True, slots=True)
class TrainingTrial:
    """A training to run: `retraining` None runs the default, without a product.

    Attributes
    ----------
    output : where its bento is pushed, as spec.retraining.output. python : program that runs it.
    passed : names of the shell's variables that it gets.
    """

    bento: Bento
    product: DataProduct | None
    slo: str
    output: str
    python: str = sys.executable
    passed: frozenset[str] = frozenset()

    @property
    def retraining(self) -> Retraining | None:
        """Return the retraining settings of the product."""
        return self.product.spec.retraining if self.product else None


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Run the training in the stable bento's src with the variables of its Job, show its result,"
        " and whether it passes the product's hold-out gate. Nothing is pushed."
    )
    parser.add_argument(
        "bento", metavar="BENTO", type=Path, help="the stable bento: folder or file"
    )
    parser.add_argument(
        "product", metavar="PRODUCT.YAML", nargs="?", help="its DataProduct: command, gate, SLOs"
    )
    parser.add_argument(
        "--local", action="store_true", help="run in a process on this machine; required, because"
        " in a cluster the operator runs trainings"
    )  # fmt: skip
    parser.add_argument(
        "--slo", default="", help="the SLO that is degraded (default: a person asks)"
    )
    parser.add_argument(
        "--isolated", action="store_true", help="with the packages of the runtime image and the bento,"
        " installed for this run, instead of those of this Python"
    )  # fmt: skip
    parser.add_argument(
        "--constraints", type=Path, metavar="FILE", help="with --isolated: packages of the runtime"
        " image as `pip freeze` prints them (default: the project's own image)"
    )  # fmt: skip
    parser.add_argument(
        "--pass-env", action="append", default=[], metavar="NAME", help="a variable of this shell that"
        " the training gets, too; may be repeated"
    )  # fmt: skip
    parser.add_argument(
        "--output",
        type=Path,
        help="folder that the new bento's image is written to (default: none)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, print, and evaluate; return 0 if the result passes the gate."""
    if not args.local:
        raise invalid("--local", "is missing: add it to train on this machine")
    product = _product(args.product) if args.product else None
    if product and args.slo and args.slo not in _slos(product):
        slos = ", ".join(_slos(product)) or "none"
        raise invalid("--slo", f"is {args.slo}, and spec.slos has {slos}")
    try:
        with opened(args.bento) as bento, tempfile.TemporaryDirectory() as scratch:
            output = (args.output or Path(scratch) / "pushed").absolute()
            training = TrainingTrial(
                bento, product, args.slo, output.as_uri(), passed=frozenset(args.pass_env)
            )
            if args.isolated:
                packages = packages_in(args.constraints, python_of(bento.python))
                python = local_environment(Path(scratch), bento, packages)
                training = replace(training, python=str(python))
            return _train(training, Path(scratch))
    except BentoInvalid as error:
        raise invalid("", str(error)) from error
    except PushError as error:
        raise SluicegateError(str(error)) from error


def _product(path: str) -> DataProduct:
    products = list(read_products(path))
    if len(products) != 1:
        raise invalid(path, f"holds {len(products)} products: give a file with one")
    (product,) = products
    if product.spec.retraining is None:
        raise invalid("spec.retraining", f"is missing in {path}: add it")
    if not product.spec.retraining.command:
        message = "needs an image of its own and a cluster: only retraining.command runs here"
        raise invalid("spec.retraining.podTemplate", message)
    return product


def _train(training: TrainingTrial, scratch: Path) -> int:
    present_files = _files(training.bento)
    message = scratch / "termination-log"
    message.touch()
    words = training.retraining.command if training.retraining else DEFAULT_COMMAND
    for finding in training_without_wheels(words, training.bento):
        raise SluicegateError(f"{finding.where} {finding.message}")
    command = _command(words, training.python)
    seconds = training.retraining.timeout_seconds if training.retraining else DEFAULT_SECONDS
    for variable in _variables(training):
        if variable.value is None and variable.name not in os.environ:
            print(
                f"note: {variable.name} comes from an object of the cluster: export it to set it here"
            )
    try:
        with _without_bytecode(training.bento.folder / "src") as source:
            completed = subprocess.run(
                command,
                cwd=source,
                env=_environment(training, message),
                timeout=seconds,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise SluicegateError(
            f"took longer than retraining.timeoutSeconds ({seconds} s)"
        ) from error
    except OSError as error:
        raise SluicegateError(f"retraining.command can't be started: {error}") from error
    if completed.returncode:
        raise SluicegateError(f"the training {_end_text(completed.returncode)}")
    if written := sorted(path for path, _ in _files(training.bento) - present_files):
        raise SluicegateError(
            f"the training wrote {', '.join(written[:3])} into the bento's src, which is read-only in the cluster: write"
            " to a temporary folder, as sluicegate_service.trainer.main does"
        )
    report = _report(message.read_text(encoding="utf-8"), training)
    margins, gated_slos = _gate(training, report)
    print(f"\nresult: version {report.version}, {report.image.rpartition('@')[2]}")
    for line in lines(report, margins, gated_slos, training.slo):
        print(line)
    has_passed = worst(report, margins, gated_slos).verdict is GateVerdict.PASSED
    return 0 if has_passed and not objection(report, training.slo) else 1


def _end_text(exit_code: int) -> str:
    """Return how a process ended that failed; a negative code is that of a signal."""
    if exit_code >= 0:
        return f"exited with {exit_code}; see above"
    name = signal.Signals(-exit_code).name
    if -exit_code == signal.SIGKILL:
        return (
            f"was killed ({name}), as the kernel does where memory is short: read fewer rows, or give it more memory;"
            " in a cluster the limit is spec.retraining.resources"
        )
    return f"was ended by the signal {name}; see above"


def _files(bento: Bento) -> set[tuple[str, int]]:
    """Return the files in the bento's src, with their modification times; without bytecode."""
    source = bento.folder / "src"
    return {
        (str(path.relative_to(source)), path.stat().st_mtime_ns)
        for path in source.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


@contextmanager
def _without_bytecode(source: Path) -> Iterator[Path]:
    """Yield the folder of the bento's code, and delete the bytecode of it that the block adds."""
    present_paths = set(source.rglob("__pycache__")) | set(source.rglob("__pycache__/*"))
    try:
        yield source
    finally:
        for folder in set(source.rglob("__pycache__")) - present_paths:
            shutil.rmtree(folder, ignore_errors=True)
        for file in set(source.rglob("__pycache__/*.pyc")) - present_paths:
            file.unlink(missing_ok=True)


def _command(words: Sequence[str], python: str) -> list[str]:
    """Return the command with another Python instead of the image's."""
    first, *other_words = words
    return [python if first in PYTHONS else first, *other_words]


def _environment(training: TrainingTrial, message: Path) -> dict[str, str]:
    """Return the environment variables of the training: those of its Job and a few of this shell.

    A training that works by a variable of the shell, PYTHONPATH say, would fail in the cluster. The
    Job's PYTHONDONTWRITEBYTECODE is left out: its image is compiled, packages that uv installs aren't.
    """
    metadata = training.product.metadata if training.product else None
    own_variables = {
        variable.name: variable.value
        for variable in _variables(training)
        if variable.value is not None
    }
    from_objects = {variable.name for variable in _variables(training) if variable.value is None}
    kept_names = SHELL_VARIABLES | from_objects | training.passed
    python_folder = str(Path(training.python).parent)
    return {
        **{key: os.environ[key] for key in kept_names if key in os.environ},
        "PATH": os.pathsep.join([python_folder, os.environ.get("PATH", os.defpath)]),
        **own_variables,
        names.NAMESPACE: metadata.namespace if metadata else "local",
        names.PRODUCT: metadata.name if metadata else training.bento.name,
        names.VERSION: training.bento.version,
        names.BENTO: str(training.bento.folder.absolute()),
        names.TRIGGER: json.dumps(_trigger(training)),
        names.ATTEMPT: "1",
        names.OUTPUT: training.output,
        names.TERMINATION_LOG: str(message),
    }


def _trigger(training: TrainingTrial) -> dict[str, str]:
    kinds = (
        {slo.name: str(slo.indicator.kind) for slo in training.product.spec.slos}
        if training.product
        else {}
    )
    return {
        "id": "00000000",
        "cause": "ModelDecay" if training.slo else "Requested",
        "slo": training.slo,
        "indicator": kinds.get(training.slo, ""),
        "version": training.bento.version,
        "message": "sluicegate train --local",
    }


def _variables(training: TrainingTrial) -> Sequence[Any]:
    return training.retraining.env if training.retraining else ()


def _report(text: str, training: TrainingTrial) -> Report:
    """Parse the result as the operator does, and refuse what the operator would refuse."""
    try:
        document = json.loads(text)
        # No registry has it yet; this is the digest that it would have there.
        digest = str(document["image"]).rpartition("@")[2]
        report = Report.model_validate({**document, "image": f"registry.example/local@{digest}"})
    except ValidationError as error:
        error_text = "; ".join(str(problem(one)) for one in error.errors())
        raise SluicegateError(f"the operator can't read the result: {error_text}") from error
    except (ValueError, KeyError, TypeError) as error:
        error_text = "it is empty" if not text.strip() else f"it is {text[:200]!r}"
        raise SluicegateError(
            f"the training succeeded, but its termination message is not a result ({error_text}): write"
            f" one JSON object to ${names.TERMINATION_LOG}, or call sluicegate_service.trainer.main"
        ) from error
    if training.product:
        strange = sorted(
            {*report.evaluation, *report.stable_evaluation} - set(_slos(training.product))
        )
        if strange:
            raise SluicegateError(
                f"the evaluation names {', '.join(strange)}, and spec.slos has"
                f" {', '.join(_slos(training.product)) or 'none'}: correct the name in the training's code"
            )
    return report


def _gate(
    training: TrainingTrial, report: Report
) -> tuple[Mapping[str, HoldOutMargin], frozenset[str]]:
    """Return margins by SLO, and the SLOs that need counts."""
    if training.product is None or training.retraining is None:
        least = HoldOutMargin(DEFAULT_HOLD_OUT_REGRESSION, DEFAULT_HOLD_OUT_REGRESSION)
        return dict.fromkeys(report.evaluation, least), frozenset()
    margins = {
        slo.name: hold_out_margin(training.retraining, slo) for slo in training.product.spec.slos
    }
    return margins, frozenset(training.retraining.gate)


def _slos(product: DataProduct) -> list[str]:
    return [slo.name for slo in product.spec.slos]
