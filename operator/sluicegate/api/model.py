"""Which model serves the product: a bento by digest, and what its hold-out said."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from sluicegate.api.base import (
    DNS_LABEL,
    IDENTIFIER,
    ApiModel,
    BentoVersion,
    Events,
    ObjectName,
    PinnedImage,
    Rule,
)
from sluicegate.api.patterns import described
from sluicegate.stats.counts import Count

SloName = Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=40)]
"""Name of an SLO; a label value and part of annotations."""

BENTO_URL = described(
    r"^(https|s3|gs|pvc)://[^\s:]+$",
    "must be an address of https, s3, gs or pvc without a port: write e.g. s3://models/search.tar",
)


class Counts(ApiModel):
    """Bad events of all events."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.bad <= self.total",
            holds=lambda self: self.bad <= self.total,
            message="bad must not exceed total: bad events are part of all events",
            field="bad",
        ),
    )

    bad: Events
    """Number of bad events."""
    total: Annotated[int, Field(ge=1, le=2**53)]
    """Number of all events."""

    @property
    def count(self) -> Count:
        """Return bad and total as a Count."""
        return Count(self.bad, self.total)


def counts_of(evaluation: Mapping[str, Counts] | None) -> dict[str, Count]:
    """Return the hold-out counts by SLO name; empty without any."""
    return {slo: bento_evaluation.count for slo, bento_evaluation in (evaluation or {}).items()}


class LocalRef(ApiModel):
    """An object of the product's own namespace."""

    name: ObjectName
    """Name of the object in the product's namespace."""


class Bento(ApiModel):
    """A bento, named so that its content can't change under the name."""

    cel_rules: ClassVar = (
        Rule(
            cel="has(self.image) != has(self.url)",
            holds=lambda self: (self.image is None) != (self.url is None),
            message="set exactly one of image (an OCI image by digest) and url (with sha256)",
            field="image",
        ),
        Rule(
            cel="has(self.url) == has(self.sha256)",
            holds=lambda self: (self.url is None) == (self.sha256 is None),
            message="url and sha256 belong together: set sha256 to the checksum of the archive at url,"
            " and leave it out with image, whose digest says the same",
            field="sha256",
        ),
        Rule(
            cel="!has(self.credentialsSecretRef) || has(self.url)",
            holds=lambda self: self.credentials_secret_ref is None or self.url is not None,
            message="credentialsSecretRef is for url; for image use serving.imagePullSecrets",
            field="credentialsSecretRef",
        ),
    )

    image: PinnedImage | None = None
    """One-layer OCI image of the bento, by digest: registry/repository@sha256:…"""
    url: Annotated[str, StringConstraints(pattern=BENTO_URL, max_length=1024)] | None = None
    """Archive of the bento at https://, s3://, gs:// or pvc://claim/path, fetched at pod start."""
    sha256: (
        Annotated[
            str,
            StringConstraints(
                pattern=described(
                    r"^[a-f0-9]{64}$",
                    "must be a SHA-256 checksum, 64 hexadecimal digits in lower case: write what `sha256sum` prints",
                ),
                max_length=64,
            ),
        ]
        | None
    ) = None
    """Checksum of the archive at url."""
    credentials_secret_ref: LocalRef | None = None
    """Secret whose keys become the fetch container's environment (s3 and gs credentials)."""
    version: BentoVersion
    """The bento's own version; the label of everything that it serves."""
    service: Annotated[
        str,
        StringConstraints(
            pattern=IDENTIFIER,
            max_length=100,
        ),
    ]
    """Name of the bento's entry service, as /metrics calls it."""

    @property
    def identity(self) -> str:
        """Return the bento's identity by content: its image, or `<url>#sha256:<hex>`."""
        return self.image or f"{self.url}#sha256:{self.sha256}"

    @property
    def digest(self) -> str:
        """Return `sha256:<hex>` of the served content."""
        return f"sha256:{self.sha256}" if self.image is None else self.image.rpartition("@")[2]


class Model(ApiModel):
    """The model to serve."""

    bento: Bento
    """The bento that holds it."""
    evaluation: Annotated[dict[SloName, Counts], Field(max_length=16)] | None = None
    """Hold-out counts by SLO name: the baseline until production has shown enough."""
