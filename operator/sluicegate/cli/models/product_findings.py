"""Checks of a product, and of its bento against it: names, feedback, training."""

import ast
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import yaml

from sluicegate.api.operator_checks import check_promql, check_spec_fields
from sluicegate.api.product import DataProduct
from sluicegate.api.product_info import Direction
from sluicegate.api.rollout import Approval
from sluicegate.api.slos import OnDegraded
from sluicegate.cli.inputs.spec_gaps import slos_without_labels, too_short_rollout
from sluicegate.reconcile.traffic.exchange import describe_exchange
from sluicegate.reviews.periods import UnknownZone, zone_of
from sluicegate.settings import parse_settings
from sluicegate_service.bentos import Bento
from sluicegate_service.findings import Finding
from sluicegate_service.requirements import are_locked
from sluicegate_service.wheels import wheels_of

PLACEHOLDER: Final = "sha256:" + "0" * 64
BUILD_FILE: Final = "bentofile.yaml"
FEEDBACK: Final = "/feedback"
RUNNER: Final = "sluicegate_service.wheels"
"""Module that runs a training with the bento's wheels."""
TRAINER: Final = "sluicegate_service"
"""Library for training code, which builds the new bento from the source of the running one."""


def product_findings(product: DataProduct) -> Iterator[Finding]:
    """Yield the findings about a product alone: settings that can't work."""
    spec = product.spec
    slos = [slo.name for slo in spec.slos]
    for problem in (*slos_without_labels(spec), *check_promql(spec), *check_spec_fields(spec)):
        yield Finding.error(problem.path, problem.message)
    for problem in too_short_rollout(spec, parse_settings(os.environ, refuse_unknown=False)):
        yield Finding.warning(problem.path, problem.message)
    if spec.retraining:
        yield from _names(spec.retraining.gate, slos, "spec.retraining.gate")
    filled_roles = {member.role for member in spec.team.members} if spec.team else set()
    roles = spec.review.signed_by if spec.review else ()
    if unfilled := [role for role in roles if role not in filled_roles]:
        yield Finding.warning(
            "spec.review.signedBy",
            f"has {' and '.join(unfilled)}, and no member of the team has that role, so no review is"
            " ever signed: add one to spec.team.members, or name a role of a member",
        )
    yield from _settings_without_effect(product)
    if spec.review is not None:
        try:
            zone_of(spec.review.time_zone)
        except UnknownZone:
            yield Finding.error(
                "spec.review.timeZone",
                f"is {spec.review.time_zone}, which isn't in the IANA database, so no review is opened:"
                " write e.g. Europe/Paris, or UTC",
            )
    if spec.model.bento.digest == PLACEHOLDER:
        yield Finding.note(
            "spec.model.bento.image",
            "is a placeholder: replace it with the block that `sluicegate pack` prints",
        )


def _settings_without_effect(product: DataProduct) -> Iterator[Finding]:
    """Yield the settings that do nothing beside the others, or cost load, each with the field at fault."""
    spec = product.spec
    for slo in spec.slos:
        if slo.on_degraded is OnDegraded.RETRAIN and spec.retraining is None:
            yield Finding.warning(
                f"spec.slos[{slo.name}].onDegraded",
                "is Retrain, and spec.retraining is missing, so nothing is trained: set spec.retraining, or"
                " another action",
            )
    if spec.rollout.approvals is not None and spec.rollout.approval is Approval.MANUAL:
        yield Finding.warning(
            "spec.rollout.approval",
            "is Manual, and decides nothing beside rollout.approvals, whose parties have to agree: remove it",
        )
    if exchange := describe_exchange(spec):
        yield Finding.note("spec.rollout.capacity", f"is Replace: {exchange}")
    for goal in spec.business_goals:
        if goal.value_per_point is not None and goal.direction is Direction.EQUALS:
            yield Finding.warning(
                f"spec.businessGoals[{goal.name}].valuePerPoint",
                "has no effect with the direction Equals, by which no change is a gain: remove it, or set"
                " another direction",
            )
    start_date = spec.review.start_date if spec.review is not None else None
    if start_date is not None and start_date > f"{datetime.now(UTC):%Y-%m-%d}":
        yield Finding.note(
            "spec.review.startDate", f"is {start_date}: no review is opened before that day"
        )


def fit_findings(product: DataProduct, bento: Bento) -> Iterator[Finding]:
    """Yield the findings about a bento that doesn't match the product."""
    bento_of_spec = product.spec.model.bento
    yield from misnamed_service(product, bento.service, "bento")
    if bento_of_spec.version != bento.version:
        yield Finding.error(
            "spec.model.bento.version",
            f"is {bento_of_spec.version}, and the bento's is {bento.version}: set it to that",
        )
    yield from _feedback(product, bento)
    if product.spec.retraining and product.spec.retraining.command:
        yield from _training(product.spec.retraining.command, bento)
    shadow = product.spec.rollout.shadow
    if (
        shadow is not None
        and shadow.command
        and not (product.spec.retraining and product.spec.retraining.pod_template)
    ):
        yield from _absent_file(shadow.command, bento, "spec.rollout.shadow.command", "the code")


def misnamed_service(product: DataProduct, entry: str, owner: str) -> Iterator[Finding]:
    """Yield the finding about another service than the entry service of the `owner`, bento or project."""
    service = product.spec.model.bento.service
    if service != entry:
        yield Finding.error(
            "spec.model.bento.service",
            f"is {service}, and the {owner}'s entry service is {entry}: set it to that",
        )


def _names(names_in_bento: Any, slos: Sequence[str], location: str) -> Iterator[Finding]:
    for name in names_in_bento:
        if name not in slos:
            names_of_slos = ", ".join(slos) or "none"
            yield Finding.error(
                f"{location}.{name}",
                f"is no SLO of this product (it has {names_of_slos}): correct the name",
            )


def _feedback(product: DataProduct, bento: Bento) -> Iterator[Finding]:
    feedback = product.spec.serving.feedback
    if feedback is None or feedback.prediction is not None:
        return  # The launcher adds the route where the answers have the prediction.
    if not _has_route(bento, FEEDBACK):
        yield Finding.error(
            "spec.serving.feedback",
            f"is set, and the bento has no POST {FEEDBACK}: name where its answers have the prediction"
            " (feedback.prediction), derive the service from sluicegate_service.product.ProductService, or"
            " remove feedback",
        )


def _has_route(bento: Bento, route: str) -> bool:
    """Return whether the bento's OpenAPI has a POST of `route`; True if it can't be read."""
    path = bento.folder / "apis" / "openapi.yaml"
    try:
        paths = yaml.safe_load(path.read_text(encoding="utf-8"))["paths"]
        return "post" in paths.get(route, {})
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return True


def training_without_wheels(command: Sequence[str], bento: Bento) -> Iterator[Finding]:
    """Yield a finding if the bento has wheels that a training of this command doesn't import."""
    words = list(command)
    if not words or not Path(words[0]).name.startswith("python") or RUNNER in words:
        return
    names = sorted({wheel.name for wheel in wheels_of(bento.folder)})
    if names:
        module = words[words.index("-m") + 1 :] if "-m" in words else [
            word.removesuffix(".py").replace("/", ".") for word in words[1:]
        ]  # fmt: skip
        runs = ", ".join([words[0], "-m", RUNNER, *module])
        yield Finding.error(
            "spec.retraining.command",
            f"is {' '.join(words)}, which doesn't import the bento's wheels ({', '.join(names)}): write"
            f" [{runs}]",
        )


def _training(command: Sequence[str], bento: Bento) -> Iterator[Finding]:
    yield from training_without_wheels(command, bento)
    yield from _absent_file(command, bento, "spec.retraining.command", "the training code")
    file = _first_file(bento.folder / "src", _started_file(command) or ())
    if file is not None and _uses_trainer(file):
        yield from _rebuilds(bento.folder)


def _absent_file(
    command: Sequence[str], bento: Bento, location: str, purpose: str
) -> Iterator[Finding]:
    """Yield a finding if the bento lacks the file that a command starts."""
    names = _started_file(command) or ()
    file = _first_file(bento.folder / "src", names)
    if names and file is None:
        yield Finding.error(
            location,
            f"is {' '.join(command)}, and the bento's src has no {names[0]}: include {purpose} in the"
            " bento (bentofile.yaml: include)",
        )
    elif file is not None:
        yield from _syntax(file, location)


def project_fit_findings(product: DataProduct, folder: Path) -> Iterator[Finding]:
    """Yield the findings about the code of a project that a product's trainings start."""
    retraining, shadow = product.spec.retraining, product.spec.rollout.shadow
    commands = {
        "spec.retraining.command": retraining.command if retraining else None,
        "spec.rollout.shadow.command": shadow.command if shadow else None,
    }
    for location, command in commands.items():
        names = _started_file(command or ()) or ()
        file = _first_file(folder, names)
        if names and file is None:
            yield Finding.error(
                location,
                f"is {' '.join(command or ())}, and the project has no {names[0]}: correct the command, or add the file",
            )
        elif file is not None:
            yield from _syntax(file, location)
            yield from _excluded(folder, file.relative_to(folder).as_posix(), location)
            if location == "spec.retraining.command" and _uses_trainer(file):
                yield from _excluded(folder, BUILD_FILE, location)


def _excluded(folder: Path, name: str, location: str) -> Iterator[Finding]:
    """Yield a finding if the build file of a project includes other files only."""
    try:
        options = yaml.safe_load((folder / BUILD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return
    include = options.get("include") if isinstance(options, dict) else None
    if not isinstance(include, list) or any(_may_match(str(entry), name) for entry in include):
        return
    yield Finding.error(
        f"{BUILD_FILE}: include",
        f"has no entry for {name}, which {location} needs in the bento: add it",
    )


def _may_match(pattern: str, name: str) -> bool:
    """Return whether a pattern of a build file may include a file; True for a pattern with folders or exceptions."""
    return (
        fnmatch(name, pattern)
        or fnmatch(Path(name).name, pattern)
        or bool({"/", "!"} & set(pattern))
    )


def _first_file(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _uses_trainer(file: Path) -> bool:
    return TRAINER in file.read_text(encoding="utf-8", errors="replace")


def _syntax(file: Path, location: str) -> Iterator[Finding]:
    """Yield a finding if a source file can't be parsed."""
    try:
        ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        yield Finding.error(location, f"starts {file.name}, which can't be parsed: {error}")


def _started_file(command: Sequence[str]) -> tuple[str, ...] | None:
    """Return the candidate files, relative to src, that the command starts; None if it isn't a Python command."""
    words = list(command)
    if not words or not Path(words[0]).name.startswith("python"):
        return None
    while "-m" in words and words[words.index("-m") + 1 :][:1] == [RUNNER]:
        del words[: words.index("-m") + 1]
        words = ["-m", *words[1:]]
    if "-m" in words and (module_words := words[words.index("-m") + 1 :]):
        module = module_words[0].replace(".", "/")
        return (f"{module}.py", f"{module}/__main__.py")
    files = [word for word in words[1:] if word.endswith(".py")]
    return (files[0],) if files else None


def _rebuilds(bento: Path) -> Iterator[Finding]:
    path = bento / "src" / BUILD_FILE
    if not path.is_file():
        yield Finding.error(
            "src/bentofile.yaml",
            "isn't in the bento, and the training builds the next version with it: add"
            " bentofile.yaml to its own include",
        )
        return
    options = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if (options.get("python") or {}).get("lock_packages", True) and are_locked(bento):
        yield Finding.error(
            "src/bentofile.yaml: python.lock_packages",
            "must be false (in code: Image(lock_python_packages=False)): the training builds the next"
            " version without access to a package index",
        )
