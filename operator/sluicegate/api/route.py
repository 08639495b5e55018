"""How requests reach the product: the parts of one HTTPRoute that belong to the user.

The weights belong to the operator, everything else is taken from here. Field names and
meanings are the Gateway API's.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints

from sluicegate.api.base import ApiModel, ObjectName, Rule, ShortName
from sluicegate.api.list_types import Keyed, Unique
from sluicegate.api.patterns import described

Duration = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^([0-9]{1,5}(h|m|s|ms)){1,4}$",
            "must be a duration with the units h, m, s or ms: write e.g. 10s or 1m30s",
        ),
        max_length=24,
    ),
]
"""A GEP-2257 duration, as the Gateway API takes it."""
NewPath = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^/[^\s?#]*$",
            "must be a path that begins with /, without query, fragment and spaces: write e.g. /v2",
        ),
        max_length=1024,
    ),
]
HttpPath = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^/([-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})*$",
            "must be a path that begins with /, without query and spaces: write e.g. /search",
            at_server=True,
        ),
        max_length=1024,
    ),
]
_FORBIDDEN_IN_PATH = ("//", "/./", "/../", "%2f", "%2F")
_FORBIDDEN_PATH_ENDS = ("/.", "/..")


def _path_rule(field: str) -> Rule:
    """Return the Gateway API's rule for a path, beyond its characters."""
    value = f"self.{field}"
    cel_conditions = [
        f"!{value}.contains('{forbidden_text}')" for forbidden_text in _FORBIDDEN_IN_PATH
    ]
    cel_conditions += [
        f"!{value}.endsWith('{forbidden_text}')" for forbidden_text in _FORBIDDEN_PATH_ENDS
    ]
    name = field

    def is_kept(model: ApiModel) -> bool:
        path: str | None = getattr(model, name)
        return path is None or not (
            any(forbidden_text in path for forbidden_text in _FORBIDDEN_IN_PATH)
            or path.endswith(_FORBIDDEN_PATH_ENDS)
        )

    return Rule(
        cel=f"!has({value}) || ({' && '.join(cel_conditions)})",
        holds=is_kept,
        message=f"{field} must be a plain path: without //, /./, /../ and %2F, and without /. or /.."
        " at its end",
        field=field,
    )


def _seconds(duration: str) -> float:
    """Return a GEP-2257 duration in seconds."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(int(number) * units[unit] for number, unit in _DURATION_PART.findall(duration))


_DURATION_PART = re.compile(r"([0-9]+)(ms|h|m|s)")
HeaderName = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$",
            "must be the name of a header or parameter, without spaces: write e.g. x-variant",
        ),
        max_length=256,
    ),
]
HeaderValue = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
PreciseHostname = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "must be one host name in lower case, without *, scheme, port and path: write e.g. search.example",
        ),
        max_length=253,
    ),
]
Hostname = Annotated[
    str,
    StringConstraints(
        pattern=described(
            r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "must be a host name in lower case, without scheme, port and path: write e.g. search.example or *.search.example",
            at_server=True,
        ),
        max_length=253,
    ),
]


class ParentRef(ApiModel):
    """A Gateway that takes the product's requests."""

    name: ObjectName
    """Name of the Gateway."""
    namespace: ShortName | None = None
    """Namespace of the Gateway; the product's own when left out."""
    section_name: ObjectName | None = None
    """Listener of the Gateway; all listeners when left out."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Port of the Gateway; all ports when left out."""

    def overlaps(self, other_reference: Self) -> bool:
        """Return whether both include a listener of one Gateway, by the Gateway API's comparison."""
        sections = {self.section_name, other_reference.section_name}
        is_same_gateway = (self.namespace, self.name) == (
            other_reference.namespace,
            other_reference.name,
        )
        return is_same_gateway and (None in sections or len(sections) == 1)

    def is_within(self, other_reference: Self) -> bool:
        """Return whether each listener of this reference is included in the other."""
        return (
            (self.namespace, self.name) == (other_reference.namespace, other_reference.name)
            and other_reference.section_name in (None, self.section_name)
            and other_reference.port in (None, self.port)
        )


PARENTS_RULE: Final = Rule(
    cel="self.parentRefs.all(one, self.parentRefs.filter(other, other.name == one.name"
    " && (has(other.__namespace__) ? other.__namespace__ : '')"
    " == (has(one.__namespace__) ? one.__namespace__ : '')"
    " && (!has(one.sectionName) || !has(other.sectionName)"
    " || one.sectionName == other.sectionName)).size() == 1)",
    holds=lambda self: all(
        sum(parent_ref.overlaps(other_reference) for other_reference in self.parent_refs) == 1
        for parent_ref in self.parent_refs
    ),
    message="parentRefs that name one Gateway must each name another sectionName of it",
    field="parentRefs",
)
"""No two references mean one listener; for objects with parentRefs."""


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

    cel_rules: ClassVar = (_path_rule("value"),)

    type: PathMatchType = PathMatchType.PATH_PREFIX
    """Method by which paths are compared."""
    value: HttpPath = "/"
    """Path that requests are compared with."""


class ValueMatch(ApiModel):
    """Matches a header or a query parameter."""

    type: MatchType = MatchType.EXACT
    """Method by which values are compared."""
    name: HeaderName
    """Name of the header or parameter."""
    value: HeaderValue
    """Value to be compared with."""


class RouteMatch(ApiModel):
    """One alternative; a request must match all of its fields."""

    path: PathMatch | None = None
    """Path that the request must have."""
    headers: Annotated[tuple[ValueMatch, ...], Field(max_length=8), Keyed("name")] = ()
    """Headers that the request must have."""
    query_params: Annotated[tuple[ValueMatch, ...], Field(max_length=8), Keyed("name")] = ()
    """Query parameters that the request must have."""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] | None = None
    """HTTP method of the request."""


class Header(ApiModel):
    """A header and its value."""

    name: HeaderName
    """Name of the HTTP header."""
    value: HeaderValue
    """Value of the HTTP header."""


MAX_REMOVED_HEADERS: Final = 16
"""Headers that a filter of the Gateway API removes, at most."""


class HeaderModifier(ApiModel):
    """Changes headers on their way."""

    set: Annotated[tuple[Header, ...], Field(max_length=16), Keyed("name")] = ()
    """Headers to set, replacing existing ones."""
    add: Annotated[tuple[Header, ...], Field(max_length=16), Keyed("name")] = ()
    """Headers to add to existing ones."""
    remove: Annotated[tuple[HeaderName, ...], Field(max_length=MAX_REMOVED_HEADERS), Unique()] = ()
    """Names of headers to remove."""

    @property
    def headers(self) -> frozenset[str]:
        """Return the lower-case names of the headers that are changed."""
        names = (*(header.name for header in (*self.set, *self.add)), *self.remove)
        return frozenset(name.lower() for name in names)


class PathModifierType(StrEnum):
    """What of a path is replaced."""

    FULL = "ReplaceFullPath"
    PREFIX = "ReplacePrefixMatch"


class PathModifier(ApiModel):
    """Replacement for a request's path."""

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
    """Part of the path to replace."""
    replace_full_path: NewPath | None = None
    """Path that replaces the whole one."""
    replace_prefix_match: NewPath | None = None
    """Prefix that replaces the matched one."""


class UrlRewrite(ApiModel):
    """Rewrites host or path before the request reaches the product."""

    hostname: PreciseHostname | None = None
    """Host name that replaces the request's."""
    path: PathModifier | None = None
    """Path that replaces the request's."""


_GROUP = described(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$",
    "must be the API group of an object: write e.g. traefik.io",
)


class ExtensionRef(ApiModel):
    """A filter that the gateway's own kind of object describes."""

    group: Annotated[str, StringConstraints(pattern=_GROUP, max_length=253)]
    """API group of the object."""
    kind: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
                "must be the kind of an object: write letters, digits and -, e.g. Middleware",
            ),
            max_length=63,
        ),
    ]
    """Kind of the referenced object."""
    name: ObjectName
    """Name of the object in the product's namespace."""


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
            holds=lambda self: self._set_filters == {self.type},
            message="set the field that type names (e.g. urlRewrite for URLRewrite), and only it",
            field="type",
        ),
    )

    type: FilterType
    """Kind of filter; exactly one of the fields below belongs to it."""
    request_header_modifier: HeaderModifier | None = None
    """Settings of a RequestHeaderModifier filter."""
    response_header_modifier: HeaderModifier | None = None
    """Settings of a ResponseHeaderModifier filter."""
    url_rewrite: UrlRewrite | None = None
    """Settings of a URLRewrite filter."""
    extension_ref: ExtensionRef | None = None
    """Object of an ExtensionRef filter."""

    @property
    def _set_filters(self) -> set[FilterType]:
        filter_fields = {
            FilterType.REQUEST_HEADERS: self.request_header_modifier,
            FilterType.RESPONSE_HEADERS: self.response_header_modifier,
            FilterType.URL_REWRITE: self.url_rewrite,
            FilterType.EXTENSION: self.extension_ref,
        }
        return {kind for kind, filter_field in filter_fields.items() if filter_field is not None}


class RouteTimeouts(ApiModel):
    """How long a request may take."""

    cel_rules: ClassVar = (
        Rule(
            cel="!has(self.request) || !has(self.backendRequest)"
            " || duration(self.request) == duration('0s')"
            " || duration(self.backendRequest) <= duration(self.request)",
            holds=lambda self: (
                self.request is None
                or self.backend_request is None
                or _seconds(self.request) == 0
                or _seconds(self.backend_request) <= _seconds(self.request)
            ),
            message="backendRequest must not be longer than request, of which it is one try",
            field="backendRequest",
        ),
    )

    request: Duration | None = None
    """Time limit of the whole request as the client sees it, e.g. 10s."""
    backend_request: Duration | None = None
    """Time limit of one attempt at the product's pods."""


class RouteRule(ApiModel):
    """One rule of the HTTPRoute; the operator adds the weighted backends."""

    cel_rules: ClassVar = (
        Rule(
            cel="!has(self.filters) || ['RequestHeaderModifier', 'ResponseHeaderModifier', 'URLRewrite']"
            ".all(kind, self.filters.filter(one, one.type == kind).size() <= 1)",
            holds=lambda self: all(
                sum(route_filter.type is kind for route_filter in self.filters) <= 1
                for kind in FilterType
                if kind is not FilterType.EXTENSION
            ),
            message="filters must hold a type at most once, ExtensionRef apart: merge those of one type",
            field="filters",
        ),
        Rule(
            cel="!has(self.filters) || !self.filters.exists(one, has(one.urlRewrite)"
            " && has(one.urlRewrite.path) && one.urlRewrite.path.type == 'ReplacePrefixMatch')"
            " || (has(self.matches) && self.matches.size() == 1 && has(self.matches[0].path)"
            " && self.matches[0].path.type == 'PathPrefix')",
            holds=lambda self: not self._replaces_prefix or self._matches_single_prefix,
            message="matches must hold exactly one, with a path of type PathPrefix, where a filter"
            " replaces the matched prefix (ReplacePrefixMatch): make a rule of each match",
            field="matches",
        ),
    )

    name: ObjectName | None = None
    """Name of the route rule."""
    matches: Annotated[tuple[RouteMatch, ...], Field(max_length=8)] = ()
    """Alternatives of which one must match; every request matches when empty."""
    filters: Annotated[tuple[RouteFilter, ...], Field(max_length=8)] = ()
    """Filters that are applied to a request."""
    timeouts: RouteTimeouts | None = None
    """Time limits of a request."""

    @property
    def _replaces_prefix(self) -> bool:
        paths = [
            route_filter.url_rewrite.path
            for route_filter in self.filters
            if route_filter.url_rewrite
        ]
        return any(path is not None and path.type is PathModifierType.PREFIX for path in paths)

    @property
    def _matches_single_prefix(self) -> bool:
        path = self.matches[0].path if len(self.matches) == 1 else None
        return path is not None and path.type is PathMatchType.PATH_PREFIX


class Route(ApiModel):
    """The product's HTTPRoute, but for the weights."""

    cel_rules: ClassVar = (
        Rule(
            cel="!(has(self.path) && has(self.rules) && size(self.rules) > 0)",
            holds=lambda self: self.path is None or not self.rules,
            message="path is short for one rule (PathPrefix, rewritten to /): set either path or rules",
            field="path",
        ),
        _path_rule("path"),
        PARENTS_RULE,
    )

    parent_refs: Annotated[tuple[ParentRef, ...], Field(min_length=1, max_length=8)]
    """The Gateways that take the product's requests."""
    hostnames: Annotated[tuple[Hostname, ...], Field(max_length=16), Unique()] = ()
    """Hosts of the product; all of the Gateway's when empty."""
    path: HttpPath | None = None
    """Path prefix. It stands for one rule that matches the prefix and rewrites it to /."""
    rules: Annotated[tuple[RouteRule, ...], Field(max_length=8)] = ()
    """Rules of the route, where a path prefix does not suffice."""

    def listeners_among(self, parent_refs: Sequence[ParentRef]) -> tuple[ParentRef, ...]:
        """Return those references by which requests reach this route."""
        return tuple(
            parent_ref
            for parent_ref in parent_refs
            if any(parent_ref.is_within(route_parent) for route_parent in self.parent_refs)
        )

    @property
    def matched_headers(self) -> frozenset[str]:
        """Return the lower-case names of the headers that a match compares."""
        matches = (match for rule in self.rules for match in rule.matches)
        return frozenset(header.name.lower() for match in matches for header in match.headers)

    @property
    def request_modifiers(self) -> tuple[HeaderModifier, ...]:
        """Return the changes of requests' headers by the filters of all rules."""
        filters = (route_filter for rule in self.rules for route_filter in rule.filters)
        return tuple(
            route_filter.request_header_modifier
            for route_filter in filters
            if route_filter.request_header_modifier is not None
        )
