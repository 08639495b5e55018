"""Names that the operator's pods and this library share: variables, files, metrics.

The operator sets the variables and mounts the files; a service only reads them. A test compares
these names with the operator's.
"""

from typing import Final

# ---- in every pod of a product -----------------------------------------------------------
NAMESPACE: Final = "SLUICEGATE_NAMESPACE"
PRODUCT: Final = "SLUICEGATE_PRODUCT"
VERSION: Final = "SLUICEGATE_VERSION"
"""Version of the serving bento; in a training Job, that of the stable one."""
REVISION: Final = "SLUICEGATE_REVISION"
"""Revision of the serving version: the same bento may run in another runtime."""

# ---- in serving pods ---------------------------------------------------------------------
FEEDBACK_DIRECTORY: Final = "SLUICEGATE_FEEDBACK_DIRECTORY"
"""Mount path of the Secret of `serving.feedback.secretRef`."""
DEFAULT_FEEDBACK_DIRECTORY: Final = "/var/run/sluicegate/feedback"
KEY_FILE: Final = "hmac"
PREVIOUS_KEY_FILE: Final = "hmac-previous"
BEARER_FILE: Final = "bearer"

MAX_REQUEST_BYTES: Final = "SLUICEGATE_MAX_REQUEST_BYTES"
"""`serving.maxRequestBytes`, if it isn't the default."""
DEFAULT_MAX_REQUEST_BYTES: Final = 10 * 1024 * 1024
MARKETS: Final = "SLUICEGATE_MARKETS"
"""JSON: `spec.markets`, the place of a request's market (`serving.market`), and latency thresholds."""
PREDICTION: Final = "SLUICEGATE_PREDICTION"
"""JSON: `serving.feedback.prediction`, where an answer has its prediction."""
LOG: Final = "SLUICEGATE_LOG"
"""JSON: `serving.log`; also in training Jobs and those of a shadow phase."""
MIRROR: Final = "SLUICEGATE_MIRROR"
"""JSON: `rollout.shadow.mirror`, and the URL of the candidate."""
PREVIEW: Final = "SLUICEGATE_PREVIEW"
"""`true` if `rollout.preview` is set: requests with its header count for nothing."""
CONSUMERS: Final = "SLUICEGATE_CONSUMERS"
"""JSON: consumers, as NAMESPACE/NAME, whose requests get answers with the mark of the version."""
UPSTREAMS: Final = "SLUICEGATE_UPSTREAMS"
"""JSON: upstreams, as NAMESPACE/NAME, by whose versions outcomes are counted."""
ENTRY_SERVICE: Final = "SLUICEGATE_ENTRY_SERVICE"
"""`spec.model.bento.service`: the service whose series are read."""

# ---- in training Jobs --------------------------------------------------------------------
TRIGGER: Final = "SLUICEGATE_TRIGGER"
"""JSON: the reason of this training; at least `slo` and `indicator`."""
OUTPUT: Final = "SLUICEGATE_OUTPUT"
"""Repository to push to, without a tag."""
ATTEMPT: Final = "SLUICEGATE_ATTEMPT"
"""Number of the attempt at this trigger, from 1."""
BENTO: Final = "SLUICEGATE_BENTO"
DEFAULT_BENTO: Final = "/bento"
TERMINATION_LOG: Final = "SLUICEGATE_TERMINATION_LOG"
DEFAULT_TERMINATION_LOG: Final = "/dev/termination-log"

# ---- in Jobs of a shadow phase -----------------------------------------------------------
SINCE: Final = "SLUICEGATE_SINCE"
"""Time after which the label of a row arrived, as RFC 3339."""
UNTIL: Final = "SLUICEGATE_UNTIL"
"""Time by which it arrived."""
STABLE: Final = "SLUICEGATE_STABLE"
DEFAULT_STABLE: Final = "/stable"
CANDIDATE: Final = "SLUICEGATE_CANDIDATE"
DEFAULT_CANDIDATE: Final = "/candidate"

# ---- between pods of two versions --------------------------------------------------------
MIRRORED_PATH: Final = "/-/mirrored"
"""Prefix of the path of a mirrored request or a preview in BentoML's metrics, so that no indicator counts it."""

# ---- metrics -----------------------------------------------------------------------------
LABELLED_METRIC: Final = "sluicegate_predictions_labelled_total"
PAIRED_METRIC: Final = "sluicegate_predictions_paired_total"
EVENTS_METRIC: Final = "sluicegate_indicator_events_total"
MARKETS_METRIC: Final = "sluicegate_market_events_total"
UPSTREAM_OUTCOMES_METRIC: Final = "sluicegate_upstream_outcomes_total"
UPSTREAM_EVENTS_METRIC: Final = "sluicegate_upstream_events_total"
UPSTREAM_REQUESTS_METRIC: Final = "sluicegate_upstream_requests_total"
CONSUMER_REQUESTS_METRIC: Final = "sluicegate_consumer_requests_total"
REFUSED_METRIC: Final = "sluicegate_requests_refused_total"
MIRRORED_METRIC: Final = "sluicegate_mirrored_requests_total"
LOG_WRITTEN_METRIC: Final = "sluicegate_log_rows_written_total"
LOG_DROPPED_METRIC: Final = "sluicegate_log_rows_dropped_total"
LOG_HELD_METRIC: Final = "sluicegate_log_rows_held"
LOG_FAILED_METRIC: Final = "sluicegate_log_writes_failed_total"
SECRET_METRIC: Final = "sluicegate_feedback_secret_usable"  # noqa: S105 - a name
