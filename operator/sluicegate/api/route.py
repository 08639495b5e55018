"""How requests reach the product: the parts of one HTTPRoute that belong to the user.

The weights belong to the operator, everything else is taken from here. Field names and
meanings are the Gateway API's.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, Line, ObjectName, Rule, ShortName
from sluicegate.api.lists import Keyed, Unique

Duration = Annotated[
    str, StringConstraints(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$", max_length=24)
]
"""A GEP-2257 duration, as the Gateway API takes it."""
HttpPath = Annotated[str, StringConstraints(pattern=r"^/[^\s?#]*$", max_length=1024)]
HeaderName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$", max_length=256)
]
HeaderValue = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Hostname = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length=253,
    ),
]


class ParentRef(ApiModel):
    """A Gateway that takes the product's requests."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: ShortName | None = None
    """Its namespace; the product's own when left out."""
    section_name: ObjectName | None = None
    """One listener of it; all when left out."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """One port of it; all when left out."""


class PathMatchType(StrEnum):
    """How a path is compared."""

    EXACT = "Exact"
    PATH_PREFIX = "PathPrefix"


class MatchType(StrEnum):
    """How a header or query parameter is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


class PathMatch(ApiModel):
    """Matches a request's path."""

    type: PathMatchType = PathMatchType.PATH_PREFIX
    """How to compare."""
    value: HttpPath = "/"
    """What to compare with."""


class ValueMatch(ApiModel):
    """Matches a header or a query parameter."""

    type: MatchType = MatchType.EXACT
    """How to compare."""
    name: HeaderName
    """Its name."""
    value: HeaderValue
    """What to compare with."""


class RouteMatch(ApiModel):
    """All that is given must match."""

    path: PathMatch | None = None
    """The path."""
    headers: Annotated[tuple[ValueMatch, ...], Field(max_length=8), Keyed("name")] = ()
    """Headers."""
    query_params: Annotated[tuple[ValueMatch, ...], Field(max_length=8), Keyed("name")] = ()
    """Query parameters."""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] | None = None
    """The method."""


class Header(ApiModel):
    """A header and its value."""

    name: HeaderName
    """Its name."""
    value: HeaderValue
    """Its value."""


class HeaderModifier(ApiModel):
    """Changes headers on their way."""

    set: Annotated[tuple[Header, ...], Field(max_length=16), Keyed("name")] = ()
    """Headers to set."""
    add: Annotated[tuple[Header, ...], Field(max_length=16), Keyed("name")] = ()
    """Headers to add."""
    remove: Annotated[tuple[HeaderName, ...], Field(max_length=16)] = ()
    """Headers to remove."""


class PathModifierType(StrEnum):
    """What of a path is replaced."""

    FULL = "ReplaceFullPath"
    PREFIX = "ReplacePrefixMatch"


class PathModifier(ApiModel):
    """Rewrites a path."""

    cel_rules: ClassVar = (
        Rule(
            cel="(self.type == 'ReplaceFullPath') == has(self.replaceFullPath)"
            " && (self.type == 'ReplacePrefixMatch') == has(self.replacePrefixMatch)",
            holds=lambda self: (
                (self.type is PathModifierType.FULL) == (self.replace_full_path is not None)
                and (self.type is PathModifierType.PREFIX)
                == (self.replace_prefix_match is not None)
            ),
            message="set the field that type names (replaceFullPath or replacePrefixMatch), and only it",
            field="type",
        ),
    )

    type: PathModifierType
    """What to replace."""
    replace_full_path: HttpPath | None = None
    """The new path."""
    replace_prefix_match: HttpPath | None = None
    """The new prefix."""


class UrlRewrite(ApiModel):
    """Rewrites host or path before the request reaches the product."""

    hostname: Hostname | None = None
    """The new host."""
    path: PathModifier | None = None
    """The new path."""


class ExtensionRef(ApiModel):
    """A filter that the gateway's own kind of object describes."""

    group: Annotated[str, StringConstraints(max_length=253)]
    """Its API group."""
    kind: Annotated[
        str, StringConstraints(pattern=r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", max_length=63)
    ]
    """Its kind."""
    name: ObjectName
    """Its name, in the product's namespace."""


class FilterType(StrEnum):
    """Filters that leave the counts of requests true. A mirror would count each one twice."""

    REQUEST_HEADERS = "RequestHeaderModifier"
    RESPONSE_HEADERS = "ResponseHeaderModifier"
    URL_REWRITE = "URLRewrite"
    EXTENSION = "ExtensionRef"


class RouteFilter(ApiModel):
    """One step of what happens to a request on its way."""

    cel_rules: ClassVar = (
        Rule(
            cel="(self.type == 'RequestHeaderModifier') == has(self.requestHeaderModifier)"
            " && (self.type == 'ResponseHeaderModifier') == has(self.responseHeaderModifier)"
            " && (self.type == 'URLRewrite') == has(self.urlRewrite)"
            " && (self.type == 'ExtensionRef') == has(self.extensionRef)",
            holds=lambda self: self._given == {self.type},
            message="set the field that type names (e.g. urlRewrite for URLRewrite), and only it",
            field="type",
        ),
    )

    type: FilterType
    """Which filter."""
    request_header_modifier: HeaderModifier | None = None
    """For RequestHeaderModifier."""
    response_header_modifier: HeaderModifier | None = None
    """For ResponseHeaderModifier."""
    url_rewrite: UrlRewrite | None = None
    """For URLRewrite."""
    extension_ref: ExtensionRef | None = None
    """For ExtensionRef."""

    @property
    def _given(self) -> set[FilterType]:
        parts = {
            FilterType.REQUEST_HEADERS: self.request_header_modifier,
            FilterType.RESPONSE_HEADERS: self.response_header_modifier,
            FilterType.URL_REWRITE: self.url_rewrite,
            FilterType.EXTENSION: self.extension_ref,
        }
        return {kind for kind, part in parts.items() if part is not None}


class RouteTimeouts(ApiModel):
    """How long a request may take."""

    request: Duration | None = None
    """From the client's view, e.g. 10s."""
    backend_request: Duration | None = None
    """Of one try at the product."""


class RouteRule(ApiModel):
    """One rule of the HTTPRoute; the operator adds the weighted backends."""

    name: Line | None = None
    """What to call it."""
    matches: Annotated[tuple[RouteMatch, ...], Field(max_length=8)] = ()
    """Any of these must match; every request matches when empty."""
    filters: Annotated[tuple[RouteFilter, ...], Field(max_length=8)] = ()
    """What happens to a request on its way."""
    timeouts: RouteTimeouts | None = None
    """How long it may take."""


class Route(ApiModel):
    """The product's HTTPRoute, but for the weights."""

    cel_rules: ClassVar = (
        Rule(
            cel="!(has(self.path) && has(self.rules) && size(self.rules) > 0)",
            holds=lambda self: self.path is None or not self.rules,
            message="path is short for one rule (PathPrefix, rewritten to /): set either path or rules",
            field="path",
        ),
    )

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    """The Gateways that take the product's requests."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16), Unique()] = ()
    """Hosts of the product; all of the Gateway's when empty."""
    path: HttpPath | None = None
    """Short for one rule that matches this prefix and rewrites it to /."""
    rules: Annotated[tuple[RouteRule, ...], Field(max_length=8)] = ()
    """Rules in full, where a path prefix isn't enough."""
