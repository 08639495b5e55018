"""What an edit of a DataProduct leads to, from its live object: a canary, a restart, nothing. Pure.

The operator's own rules decide: what spec.model asks for (policy/model/desired_model.py), and the objects
that it renders for stable (planned_objects.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sluicegate.api.operator_checks import check_context, runtime_image
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Release
from sluicegate.cli.trials.planned_objectives import planned_objectives
from sluicegate.cli.trials.planned_objects import (
    Effect,
    PlannedOutcome,
    Running,
    planned_objects,
)
from sluicegate.errors import Problem
from sluicegate.kube.resources import Key
from sluicegate.manifests.plan import spec_version
from sluicegate.policy.model.desired_model import RolloutStanding, desired_model_of
from sluicegate.policy.model.terms import terms_of
from sluicegate.policy.rollout.candidates import is_frozen
from sluicegate.policy.rollout.new_versions import lifecycle_obstacle
from sluicegate.reconcile.traffic.exchange import describe_exchange
from sluicegate.settings import Settings

_STRENGTH: Final = tuple(PlannedOutcome)


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """The effects of an edit of one product.

    Attributes
    ----------
    effects : each in a sentence. problems : why it is refused.
    """

    key: Key
    change: PlannedOutcome
    effects: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def planned_change(
    live: DataProduct | None,
    edited: DataProduct,
    settings: Settings,
    running: Running | None = None,
) -> PlannedChange:
    """Return the effects of a product's manifest.

    Parameters
    ----------
    live : the object as it is, None without one. One that isn't valid has the spec of the manifest.
    running : the objects that run, if they don't follow from the live spec: it is suspended, or
        it isn't valid.
    """
    key = Key(*edited.metadata.key)
    problems = (*check_context(edited.spec, settings), *_reused(live, edited))
    if problems:
        return PlannedChange(key, PlannedOutcome.REFUSED, problems=problems)
    status = live.status if live is not None else DataProductStatus()
    effects: tuple[Effect, ...] = (_first(edited),)
    fields: tuple[str, ...] = ()
    if live is not None and status.stable is not None:
        edited = live.replace(spec=edited.spec)  # a manifest has no uid
        objects = planned_objects(live, edited, settings, running)
        terms = terms_of(edited, settings.hour_seconds)
        effects = (
            *_rollout(live, edited, settings, running),
            *planned_objectives(live, edited, terms),
            *objects,
        )
        fields = tuple(_fields(live, edited))
    if is_frozen(status, suspend=edited.spec.suspend):
        effects = tuple(map(_held_effect, effects))
    change = min((effect.change for effect in effects), key=_STRENGTH.index, default=_STRENGTH[-1])
    return PlannedChange(key, change, (*(effect.text for effect in effects), *fields))


def _first(edited: DataProduct) -> Effect:
    version = edited.spec.model.bento.version
    text = f"{version} starts, and receives all of the traffic once its pods are ready"
    return Effect(PlannedOutcome.FIRST_VERSION, text)


def _held_effect(effect: Effect) -> Effect:
    """Return the effects that wait until spec.suspend is unset."""
    if effect.change in {PlannedOutcome.NOTHING, PlannedOutcome.DEGRADED}:
        return effect
    return Effect(PlannedOutcome.SUSPENDED, f"once spec.suspend is unset: {effect.text}")


def refused_change(key: Key, problems: Iterable[Problem]) -> PlannedChange:
    """Return the change of a manifest that isn't a valid DataProduct."""
    return PlannedChange(key, PlannedOutcome.REFUSED, problems=tuple(problems))


def _reused(live: DataProduct | None, edited: DataProduct) -> Iterator[Problem]:
    """Yield that the bento's version name belongs to another bento, so that no rollout starts."""
    if live is None or live.status.stable is None:
        return
    bento = edited.spec.model.bento
    for version in live.status.versions:
        if version.version == bento.version and version.digest != bento.digest:
            text = (
                f"{bento.version} is already the name of {version.image}: give the new bento a new"
                " version"
            )
            yield Problem("spec.model.bento.version", text)
            return


def _rollout(
    live: DataProduct, edited: DataProduct, settings: Settings, running: Running | None
) -> Iterator[Effect]:
    """Yield the rollout that the edit starts and the candidate that it replaces."""
    before, after = (
        desired_model_of(
            live.status,
            spec_version(product, runtime_image(product.spec, settings)).release,
            withheld=False,
        )
        for product in (live, edited)
    )
    if after is None:
        return
    if running is not None:  # what the live spec asks for isn't carried out
        before = None
    yield from _of_name(live.status, after.desired)
    version = after.target.version
    terms = terms_of(edited, settings.hour_seconds)
    if after.standing is RolloutStanding.DUE:
        if (lifecycle_reason := lifecycle_obstacle(terms, after.desired)) is not None:
            yield Effect(
                PlannedOutcome.NOTHING, f"{lifecycle_reason.reason}: {lifecycle_reason.message}"
            )
        else:
            text = f"{version} starts with {terms.steps[0]} % of the traffic"
            if exchange := describe_exchange(edited.spec):
                text = f"{text} (rollout.capacity Replace: {exchange})"
            yield Effect(PlannedOutcome.CANARY, text)
    elif after.standing is RolloutStanding.HANDLED and (
        before is None or before.desired != after.desired
    ):
        text = f"{version} was tried already, and isn't tried again by itself"
        yield Effect(PlannedOutcome.NOTHING, text)
    ended_candidate = after.superseded
    if ended_candidate is not None and (before is None or before.superseded != ended_candidate):
        text = f"the rollout of {ended_candidate.version} ends: its traffic returns to stable"
        yield Effect(PlannedOutcome.UPDATE, text)


def _of_name(status: DataProductStatus, named_release: Release) -> Iterator[Effect]:
    """Yield that a new version name of a known bento isn't used."""
    for version in filter(None, (status.stable, status.trial)):
        if version.release == named_release and version.version != named_release.version:
            text = (
                f"the name {named_release.version} isn't used: the same bento is there as"
                f" {version.version}, and keeps that name"
            )
            yield Effect(PlannedOutcome.NOTHING, text)
            return


def _fields(live: DataProduct, edited: DataProduct) -> Iterator[str]:
    """Yield the fields of the spec that take effect in the next pass."""
    before, after = live.spec.to_dict(), edited.spec.to_dict()
    names = sorted(
        name
        for name in before.keys() | after.keys()
        if name not in {"model", "serving", "route"} and before.get(name) != after.get(name)
    )
    if names:
        names_text = ", ".join(f"spec.{name}" for name in names)
        yield f"{names_text}: used from the next pass of the operator on"
