"""Every name the outside world sees, once.

Labels, annotations, condition types and reasons are an interface: dashboards, alerts and
people's scripts match on them. No other module formats one.
"""

from enum import StrEnum
from typing import Final

GROUP: Final = "sluicegate.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "DataProduct"
PLURAL: Final = "dataproducts"
SINGULAR: Final = "dataproduct"
SHORT_NAME: Final = "dprod"
CATEGORY: Final = "dataproducts"
REVIEW_KIND: Final = "DataProductReview"
REVIEW_PLURAL: Final = "dataproductreviews"
REVIEW_SINGULAR: Final = "dataproductreview"
REVIEW_SHORT_NAME: Final = "dprev"

FIELD_MANAGER: Final = "sluicegate"
"""The one server-side-apply manager of children and status."""

MAX_NAME_LENGTH: Final = 40
"""Leaves room for what is derived: `<name>-train-<8 hex>-<attempt>` stays within 63."""

# ---- labels (on everything the operator owns) ------------------------------------------
LABEL_PRODUCT: Final = f"{GROUP}/product"
"""Pod label that scraping turns into the target label `product`."""
LABEL_VERSION: Final = f"{GROUP}/version"
"""Pod label that scraping turns into the target label `version`; the bento's version."""
LABEL_REVISION: Final = f"{GROUP}/revision"
"""Ten hex digits of bento digest and runtime image; what selectors match, as it never changes."""
LABEL_REVIEW: Final = f"{GROUP}/review"
"""Of a DataProductReview: `open` until it is sealed, `sealed` until it is signed, then `closed`."""
ANNOTATION_ARCHIVED: Final = f"{GROUP}/archived"
"""Of a DataProductReview: sha256 of the file that `sluicegate archive` wrote of it."""
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_APP_VERSION: Final = "app.kubernetes.io/version"
MANAGED_BY: Final = "sluicegate"
LABEL_ALLOW_TRAINING: Final = f"{GROUP}/allow-training"
"""Must be `"true"` on a service account before a training Job may run as it."""
RESERVED_PREFIXES: Final = (f"{GROUP}/", "app.kubernetes.io/")
"""Label prefixes that `podLabels` and a podTemplate may not set."""


class Component(StrEnum):
    """Values of `app.kubernetes.io/component`."""

    SERVER = "server"
    TRAINER = "trainer"
    ROUTE = "route"


# ---- annotations on children: the memory that survives an emptied status ----------------
ANNOTATION_IMAGE: Final = f"{GROUP}/image"
"""The bento as `spec.model.bento.image` has it, or `<url>#sha256:<hex>`."""
ANNOTATION_RUNTIME_IMAGE: Final = f"{GROUP}/runtime-image"
ANNOTATION_SERVICE: Final = f"{GROUP}/service"
"""Name of the bento's entry service."""
ANNOTATION_SOURCE: Final = f"{GROUP}/source"
ANNOTATION_DESCENDS_FROM: Final = f"{GROUP}/descends-from"
ANNOTATION_PROMOTION_TIME: Final = f"{GROUP}/promotion-time"
ANNOTATION_BASELINE: Final = f"{GROUP}/baseline"
"""JSON of the version's baselines by SLO name."""
ANNOTATION_INPUTS_HASH: Final = f"{GROUP}/inputs-hash"
"""Hash of what a pod template is rendered from; a new template needs a new hash."""
ANNOTATION_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"
"""Hash of the pod template as the operator rendered it: a hand edit differs from it."""
ANNOTATION_TRIGGER: Final = f"{GROUP}/trigger"
"""JSON of the trigger on a training Job."""

# ---- one-shot requests by a person, on the DataProduct ----------------------------------
REQUEST_RETRAIN: Final = f"{GROUP}/retrain-requested-at"
"""`<token>`: retrain once, whatever the SLOs say."""
REQUEST_ROLLBACK: Final = f"{GROUP}/rollback-to"
"""`<version>/<token>`: roll back to that version of the history."""
REQUEST_PROMOTE: Final = f"{GROUP}/promote"
"""`<token>` or `<version>/<token>`: approve the last step, or try a rejected version again."""
REQUEST_ABORT: Final = f"{GROUP}/abort"
"""`<token>` or `<version>/<token>`: take the candidate back."""


class ConditionType(StrEnum):
    """Types of `status.conditions`. The first three are kstatus', the others inform."""

    READY = "Ready"
    """The spec is realised and the stable version serves."""
    RECONCILING = "Reconciling"
    """Present only while True."""
    STALLED = "Stalled"
    """Present only while True: nothing goes on until a person changes something."""
    SLO_MET = "SLOMet"
    DEGRADED = "Degraded"
    METRICS_AVAILABLE = "MetricsAvailable"
    RETRAINING_ACTIVE = "RetrainingActive"
    ROLLOUT_PROGRESSING = "RolloutProgressing"
    TRAFFIC_SPLIT_VERIFIED = "TrafficSplitVerified"
    DEPENDENCIES_HEALTHY = "DependenciesHealthy"
    RUNTIME_PINNED = "RuntimePinned"
    """False warns: the runtime image is named by a tag, so two pods may run two runtimes."""
    OPERATOR_OVERLAP = "OperatorOverlap"
    """Present only while True: another operator writes the product's status too."""
    REVIEW_DUE = "ReviewDue"
    """Present only while True: a sealed review waits for signatures; its reason is the review's state."""


class ConditionReason(StrEnum):
    """Reasons of conditions; those about service levels also have reasons of DecisionReason."""

    # Ready
    SERVING = "Serving"
    PROGRESSING = "Progressing"
    PODS_NOT_READY = "PodsNotReady"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    """The pods that spec.serving asks for don't come up; those before them keep serving."""
    NAME_CONFLICT = "NameConflict"
    APPLY_REFUSED = "ApplyRefused"
    """The API server refuses a child: what it serves isn't what the spec asks for."""
    ROUTE_SHADOWED = "RouteShadowed"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    NOT_YET_OBSERVED = "NotYetObserved"
    # Stalled
    INVALID_SPEC = "InvalidSpec"
    VERSION_REUSED = "VersionReused"
    MODEL_REJECTED = "ModelRejected"
    INITIAL_VERSION_FAILED = "InitialVersionFailed"
    RUNTIME_MISMATCH = "RuntimeMismatch"
    SERVICE_NOT_FOUND = "ServiceNotFound"
    FORBIDDEN_SERVICE_ACCOUNT = "ForbiddenServiceAccount"
    # SLOMet, Degraded, MetricsAvailable
    ALL_MET = "AllMet"
    OBJECTIVE_MISSED = "ObjectiveMissed"
    NOT_DEGRADED = "NotDegraded"
    MEASURED = "Measured"
    NO_SLOS = "NoSLOs"
    NO_DATA = "NoData"
    FEEDBACK_SECRET_UNUSABLE = "FeedbackSecretUnusable"  # noqa: S105 - a reason
    """No label can be counted: the Secret of spec.serving.feedback lacks a key, or one is too short."""
    # RetrainingActive
    TRAINING = "Training"
    IDLE = "Idle"
    WAITING_FOR_SLOT = "WaitingForSlot"
    JOB_REFUSED = "JobRefused"
    RETRAIN_SUSPENDED = "RetrainSuspended"
    # RolloutProgressing
    STARTING = "Starting"
    STEPPING = "Stepping"
    AWAITING_APPROVAL = "AwaitingApproval"
    API_CHANGED = "ApiChanged"
    PROMOTING = "Promoting"
    ROLLING_BACK = "RollingBack"
    NO_ROLLOUT = "NoRollout"
    ON_PROBATION = "OnProbation"
    RETURN_FAILED = "ReturnFailed"
    WAITING_TO_RETRY = "WaitingToRetry"
    SUSPENDED = "Suspended"
    # TrafficSplitVerified
    WRITTEN = "Written"
    ACCEPTED = "Accepted"
    OBSERVED = "Observed"
    APPROXIMATE = "Approximate"
    NO_SPLIT = "NoSplit"
    # DependenciesHealthy
    NO_DEPENDENCIES = "NoDependencies"
    ALL_HEALTHY = "AllHealthy"
    DEPENDENCY_DEGRADED = "DependencyDegraded"
    DEPENDENCY_UNKNOWN = "DependencyUnknown"
    # OperatorOverlap
    OPERATOR_OVERLAP = "OperatorOverlap"
    # RuntimePinned
    PINNED_BY_DIGEST = "PinnedByDigest"
    NAMED_BY_TAG = "NamedByTag"


class DecisionType(StrEnum):
    """What one evaluation may decide, most pressing first (one decision an evaluation)."""

    ROLLBACK = "Rollback"
    PROMOTE = "Promote"
    INCONCLUSIVE = "Inconclusive"
    ADVANCE = "Advance"
    START_ROLLOUT = "StartRollout"
    RETRAIN = "Retrain"
    ALERT = "Alert"
    HOLD = "Hold"


class DecisionReason(StrEnum):
    """Reasons of decisions, of diagnoses and of SLO states."""

    # gates: why an SLO, or a product, is Unknown
    PROMETHEUS_UNAVAILABLE = "PrometheusUnavailable"
    PROMETHEUS_STALE = "PrometheusStale"
    UNREADABLE_SERIES = "UnreadableSeries"
    """Prometheus answers about other products, and not about this one."""
    BACKFILLING = "Backfilling"
    LOW_COVERAGE = "LowCoverage"
    NO_DATA = "NoData"
    NO_TRAFFIC = "NoTraffic"
    INVALID_DATA = "InvalidData"
    STALE = "Stale"
    WARMING_UP = "WarmingUp"
    INSUFFICIENT_DATA = "InsufficientData"
    NO_FEEDBACK_KEY = "NoFeedbackKey"
    NO_LABELS = "NoLabels"
    """serving.feedback is set, and no label of the version has been counted for a day."""
    # what an SLO says
    WITHIN_OBJECTIVE = "WithinObjective"
    OBJECTIVE_MISSED = "ObjectiveMissed"
    BUDGET_BURNING = "BudgetBurning"
    BASELINE_DROPPED = "BaselineDropped"
    BASELINE_PROVISIONAL = "BaselineProvisional"
    BASELINE_TOO_SMALL = "BaselineTooSmall"
    NOT_CONFIRMED = "NotConfirmed"
    RECOVERED = "Recovered"
    # diagnosis: objections, in no order here (policy holds the order)
    UPSTREAM_DEGRADED = "UpstreamDegraded"
    COMMON_CAUSE = "CommonCause"
    PODS_UNHEALTHY = "PodsUnhealthy"
    NODE_BUSY = "NodeBusy"
    """A node doesn't give a pod the CPU that it requests."""
    CPU_THROTTLED = "CPUThrottled"
    MEMORY_PRESSURE = "MemoryPressure"
    TRAFFIC_ANOMALY = "TrafficAnomaly"
    INFRASTRUCTURE_UNKNOWN = "InfrastructureUnknown"
    RECENT_RELEASE = "RecentRelease"
    PROBATION_FAILED = "ProbationFailed"
    RETURN_REFUSED = "ReturnRefused"
    MODEL_DECAY = "ModelDecay"
    MODEL_TOO_SLOW = "ModelTooSlow"
    AVAILABILITY_ONLY = "AvailabilityOnly"
    # preconditions of a retraining
    RETRAINING_DISABLED = "RetrainingDisabled"
    MANUAL_MODE = "ManualMode"
    ALREADY_RETRAINING = "AlreadyRetraining"
    CANARY_IN_PROGRESS = "CanaryInProgress"
    COOLING_DOWN = "CoolingDown"
    VERSION_TOO_YOUNG = "VersionTooYoung"
    RETRAIN_SUSPENDED = "RetrainSuspended"
    NO_SLOT = "NoSlot"
    LIFECYCLE_ENDED = "LifecycleEnded"
    SUSPENDED = "Suspended"
    NO_STABLE = "NoStable"
    # retraining results
    REQUESTED = "Requested"
    SCHEDULED = "Scheduled"
    """Of a training: nothing is wrong, and its turn has come."""
    NOT_SHOWN_BETTER = "NotShownBetter"
    """A challenger that isn't shown to be better than stable."""
    JOB_FAILED = "JobFailed"
    JOB_REFUSED = "JobRefused"
    TIMED_OUT = "TimedOut"
    INVALID_RESULT = "InvalidResult"
    IMAGE_NOT_FOUND = "ImageNotFound"
    IMAGE_OUTSIDE_OUTPUT = "ImageOutsideOutput"
    VERSION_REUSED = "VersionReused"
    WORSE_ON_HOLD_OUT = "WorseOnHoldOut"
    HOLD_OUT_TOO_SMALL = "HoldOutTooSmall"
    SUPERSEDED = "Superseded"
    GATE_PASSED = "GatePassed"
    # canary
    MODEL_CHANGED = "ModelChanged"
    CANARY_NOT_READY = "CanaryNotReady"
    CANARY_NO_DATA = "CanaryNoData"
    CANARY_WORSE = "CanaryWorse"
    CANARY_NOT_WORSE = "CanaryNotWorse"
    NO_PAIRS = "NoPairs"
    """No labelled answer carries the predictions of both versions."""
    SHADOW_WORSE = "ShadowWorse"
    """The candidate is worse on rows that were labelled after its training."""
    STABLE_NOT_READY = "StableNotReady"
    WAITING_FOR_RENEWALS = "WaitingForRenewals"
    COLLECTING_EVIDENCE = "CollectingEvidence"
    DWELLING = "Dwelling"
    ROUTING_MISMATCH = "RoutingMismatch"
    TRAFFIC_NOT_VERIFIED = "TrafficNotVerified"
    OBJECTIVE_NOT_MET = "ObjectiveNotMet"
    WORSE_THAN_ORIGINAL = "WorseThanOriginal"
    AWAITING_APPROVAL = "AwaitingApproval"
    API_CHANGED = "ApiChanged"
    MAX_DURATION = "MaxDuration"
    METRICS_LOST = "MetricsLost"
    INFRASTRUCTURE = "Infrastructure"
    ABORT_REQUESTED = "AbortRequested"
    ROLLBACK_REQUESTED = "RollbackRequested"
    PROMOTE_REQUESTED = "PromoteRequested"
    NOT_FOUND = "NotFound"
    RUNTIME_MISMATCH = "RuntimeMismatch"
    SERVICE_NOT_FOUND = "ServiceNotFound"
    HEALTHY = "Healthy"
    UNKNOWN = "Unknown"

    @classmethod
    def read(cls, word: str) -> "DecisionReason":
        """The reason that status names; UNKNOWN for a word that a newer operator wrote."""
        try:
            return cls(word)
        except ValueError:
            return cls.UNKNOWN
