"""spec.retraining: how a product is retrained, and what its result has to show."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, ObjectName, RatioString, Rule, ShortName
from sluicegate.api.containers import EnvVars, Resources
from sluicegate.api.model import LocalRef, SloName
from sluicegate.api.patterns import described
from sluicegate.api.pod_types import TrainingTemplate, reserved_resources

DEFAULT_COOLDOWN_SECONDS: Final = 86_400
DEFAULT_HOLD_OUT_REGRESSION: Final = 0.01


class RetrainingMode(StrEnum):
    """Who may start a retraining."""

    AUTOMATIC = "Automatic"
    """The operator, when an SLO degrades, and people."""
    MANUAL = "Manual"
    """People, by annotation; the operator only says that it would."""
    DISABLED = "Disabled"
    """No training is started."""


class Gate(ApiModel):
    """Result on the hold-out that a candidate needs before it gets any traffic."""

    cel_rules: ClassVar = (
        Rule(
            cel="double(self.maxRegression) > 0.0 && double(self.maxRegression) < 1.0",
            holds=lambda self: 0 < Decimal(self.max_regression) < 1,
            message='maxRegression must lie between 0 and 1, both excluded: write one point as "0.01"',
            field="maxRegression",
        ),
    )

    max_regression: RatioString = "0.01"
    """Maximum by which the candidate's bad ratio may exceed that of the stable version, with 95 %
    confidence."""


class Schedule(ApiModel):
    """When a challenger is trained; what comes first counts."""

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.everySeconds) || has(self.everyLabels)",
            holds=lambda self: bool(self.every_seconds or self.every_labels),
            message="set everySeconds, everyLabels, or both",
            field="everyLabels",
        ),
    )

    every_seconds: Annotated[int, Field(ge=60, le=31_536_000)] | None = None
    """Seconds from the begin of one training to that of the next."""
    every_labels: Annotated[int, Field(ge=100, le=1_000_000_000)] | None = None
    """Events of an SLO about the answers from the begin of one training to that of the next."""


class Retraining(ApiModel):
    """How the product is retrained: one Job, whose training code ships in the bento."""

    cel_rules: ClassVar = (
        Rule(
            cel="(has(self.command) && size(self.command) > 0) != has(self.podTemplate)",
            holds=lambda self: bool(self.command) != (self.pod_template is not None),
            message="set exactly one of command (runs in the runtime image) and podTemplate",
            field="command",
        ),
    )

    mode: RetrainingMode = RetrainingMode.AUTOMATIC
    """Whether the operator starts a retraining itself, only a person does, or neither."""
    command: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=1024)], ...], Field(max_length=32)
    ] = ()
    """Command that trains. It runs in the runtime image, with the stable version's bento mounted at
    /bento."""
    pod_template: TrainingTemplate | None = None
    """A whole pod template instead of command, of at most 32 KiB; its one container trains. Its fields
    have the meaning that `kubectl explain pod.spec` describes."""
    output: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^[a-z0-9]([-._:a-z0-9]*[a-z0-9])?(/[a-z0-9]([-._a-z0-9]*[a-z0-9])?)+$",
                "must be a repository of images in lower case, without scheme and tag: write e.g. registry.example/bentos/search",
            ),
            max_length=255,
        ),
    ]
    """Repository that new bentos are pushed to; a result anywhere else is refused."""
    push_secret_ref: LocalRef | None = None
    """Secret of type kubernetes.io/dockerconfigjson to push with. You make it; the Job mounts it."""
    resources: Resources = Field(default_factory=Resources)
    """Resource requests and limits of the training container."""
    env: EnvVars = ()
    """Variables of the training container."""
    service_account_name: ObjectName | None = None
    """Runs as it; it must carry the label sluicegate.dev/allow-training: "true"."""
    queue: ShortName | None = None
    """LocalQueue of Kueue that admits the Jobs; they take no training slot of the operator. Without
    it the product's label kueue.x-k8s.io/queue-name names the queue."""
    timeout_seconds: Annotated[int, Field(ge=10, le=604_800)] = 7200
    """Deadline of a training Job, from the time at which it should be created; with a queue, from
    the time at which the queue admits it. The operator may have a lower limit:
    SLUICEGATE_MAX_RETRAINING_SECONDS, one day by default."""
    cooldown_seconds: Annotated[int, Field(ge=0, le=2_678_400)] | None = None
    """Pause after an attempt; it doubles, up to a week, with each further one in a row that failed, was
    worse or was no remedy. A change of spec.retraining, the runtime image or an SLO ends it. Without it
    the pause lasts until there are enough events to detect a drop of maxDrop, and twice as many after
    each that was no remedy, a day at most."""
    schedule: Schedule | None = None
    """Trains challengers although nothing is wrong; one is served only if it is shown to be better."""
    gate: Annotated[dict[SloName, Gate], Field(max_length=16)] = Field(default_factory=dict)
    """Margins on the hold-out by SLO name. For one that isn't listed 0.01; where the training
    reports pairs, what the hold-out's size and discordance need, up to maxDrop."""

    def reserved(self) -> dict[str, str]:
        """Resources that the training container reserves, by name."""
        if self.pod_template is None:
            return self.resources.reserved()
        return reserved_resources(self.pod_template)

    def hold_out_regression(self, slo: str) -> float | None:
        """Return the hold-out margin of this SLO; None if the gate doesn't list it."""
        gate = self.gate.get(slo)
        return float(gate.max_regression) if gate else None
