"""The log of predictions, and of their labels."""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, ObjectName, Rule
from sluicegate.api.feedback import FieldPath, plain_path_rule
from sluicegate.api.model import LocalRef
from sluicegate.api.patterns import described


class LoggedFeatures(ApiModel):
    """Which parts of a request are logged. Paths of lists mean each of their items."""

    cel_rules: ClassVar = (
        plain_path_rule("only", "only", is_list=True),
        plain_path_rule("redact", "redact", is_list=True),
        plain_path_rule("person", "person"),
    )

    only: Annotated[tuple[FieldPath, ...], Field(max_length=128)] = ()
    """Paths of the features that are logged; the whole request's JSON when left out."""
    redact: Annotated[tuple[FieldPath, ...], Field(max_length=128)] = ()
    """Paths that aren't written, for example customer.email: of the request's JSON, and the same
    paths of a prediction, which may repeat them. A copy of the value under another name is written,
    and so are labels."""
    person: FieldPath | None = None
    """Path of the key by which a person's rows are deleted. Rows have a pseudonym of it, also if the
    path is redacted."""


class LogVolume(ApiModel):
    """Files of JSON lines on a volume of the product's namespace."""

    claim_name: ObjectName
    """PersistentVolumeClaim that pods and trainings mount; with several nodes it must be
    ReadWriteMany."""


class LogBucket(ApiModel):
    """Objects in an S3-compatible store."""

    bucket: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$",
                "must be the name of a bucket: write 3 to 63 lower-case letters, digits, - and .",
            ),
            max_length=63,
        ),
    ]
    """Name of the bucket, which must exist."""
    prefix: (
        Annotated[
            str,
            StringConstraints(
                pattern=described(
                    r"^[-._A-Za-z0-9]+(/[-._A-Za-z0-9]+)*$",
                    "must be a folder in the bucket, without / at its ends: write e.g. predictions/search",
                ),
                max_length=256,
            ),
        ]
        | None
    ) = None
    """Folder within the bucket."""
    endpoint: (
        Annotated[
            str,
            StringConstraints(
                pattern=described(
                    r"^https?://[^\s/@]+$",
                    "must be the address of a store, without path and credentials: write e.g. https://minio.storage.svc:9000",
                ),
                max_length=256,
            ),
        ]
        | None
    ) = None
    """Address of a store other than Amazon's, for example https://minio.storage.svc:9000."""
    region: (
        Annotated[
            str,
            StringConstraints(
                pattern=described(
                    r"^[-a-z0-9]+$", "must be the name of a region: write e.g. eu-west-1"
                ),
                max_length=64,
            ),
        ]
        | None
    ) = None
    """Region of the bucket."""
    credentials_secret_ref: LocalRef | None = None
    """Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, whose keys become variables of pods
    and trainings; without it they use what the node or the service account gives."""


class LogTarget(ApiModel):
    """The place of the log: a volume or a bucket."""

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.file) != has(self.s3)",
            holds=lambda self: (self.file is None) != (self.s3 is None),
            message="set exactly one of file (a volume) and s3 (a bucket)",
            field="file",
        ),
    )

    file: LogVolume | None = None
    """Volume with files of JSON lines."""
    s3: LogBucket | None = None
    """Bucket with objects of JSON lines."""


class PredictionLog(ApiModel):
    """The log of predictions with their features and labels, which trainings read.

    Pods write it beside the requests, from memory that is bounded; a place that is away costs rows,
    never an answer.
    """

    sample: Annotated[int, Field(ge=1, le=100)]
    """Share of the requests that are logged, in percent. Requests with an id of the caller
    (serving.feedback.prediction.id) are chosen by it, others by chance."""
    features: LoggedFeatures = Field(default_factory=LoggedFeatures)
    """Parts of a request that are logged."""
    to: LogTarget
    """Place to which the pods write rows."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """Days after which rows are deleted."""
