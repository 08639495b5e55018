"""What our definition lets a route say, the Gateway API's own takes: else no route is ever written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cluster.errors import ClusterError
from cluster.kinds import install_gateway_api
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.product import DataProduct
from sluicegate.manifests.draw_route import build_draw_route
from sluicegate.manifests.route import Backend, build_route
from tests.support.samples.product_examples import changed

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

pytestmark = pytest.mark.timeout(180)
MOST = 40
"""Routes of one request to the API server."""

PATHS = (
    "/",
    "/a",
    "/a/",
    "/a//b",
    "/a/../b",
    "/a/.",
    "/a%2Fb",
    "/a%20b/(c)",
    "/a{b}",
    "/" + "a" * 1023,
)
NAMES = ("search", "search.v1", "a" * 63)
NAME = st.sampled_from(NAMES)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


VALUES = st.sampled_from(("a", "b" * 1024, "ä"))
HEADERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(("X-A", "x-a", "x_b!")), "value": VALUES},
        optional={"type": st.sampled_from(("Exact", "RegularExpression"))},
    ),
    max_size=3,
)
PLAIN = HEADERS.map(lambda found: [{"name": one["name"], "value": one["value"]} for one in found])
PATH = some(type=st.sampled_from(("Exact", "PathPrefix")), value=st.sampled_from(PATHS))
MATCHES = st.lists(
    some(
        path=PATH,
        headers=HEADERS,
        queryParams=HEADERS,
        method=st.sampled_from(("GET", "POST", "PATCH")),
    ),
    max_size=8,
)
MODIFIER = some(set=PLAIN, add=PLAIN, remove=st.lists(st.sampled_from(("X-A", "x-b")), max_size=2))
NEW_PATH = st.one_of(
    st.builds(
        lambda path: {"type": "ReplacePrefixMatch", "replacePrefixMatch": path},
        st.sampled_from(("/", "/b", "/b//")),
    ),
    st.builds(
        lambda path: {"type": "ReplaceFullPath", "replaceFullPath": path},
        st.sampled_from(("/", "/b/..")),
    ),
)
FILTERS = st.lists(
    st.one_of(
        st.builds(
            lambda one: {"type": "RequestHeaderModifier", "requestHeaderModifier": one}, MODIFIER
        ),
        st.builds(
            lambda one: {"type": "ResponseHeaderModifier", "responseHeaderModifier": one}, MODIFIER
        ),
        st.builds(
            lambda one: {"type": "URLRewrite", "urlRewrite": one},
            some(hostname=st.sampled_from(("a.example", "10.0.0.1")), path=NEW_PATH),
        ),
        st.builds(
            lambda group, name: {
                "type": "ExtensionRef",
                "extensionRef": {"group": group, "kind": "Middleware", "name": name},
            },
            st.sampled_from(("", "traefik.io")),
            NAME,
        ),
    ),
    max_size=3,
)
DURATION = st.sampled_from(("0s", "10s", "1m", "1h30m", "99999ms", "1h1h"))
RULE = some(
    name=NAME,
    matches=MATCHES,
    filters=FILTERS,
    timeouts=some(request=DURATION, backendRequest=DURATION),
)
PARENT = st.fixed_dictionaries(
    {"name": st.sampled_from(("web", "other"))},
    optional={
        "namespace": st.sampled_from(("catalog", "gateway")),
        "sectionName": NAME,
        "port": st.sampled_from((80, 443)),
    },
)
HOSTS = st.lists(st.sampled_from(("a.example", "*.example", "localhost", "1.2")), max_size=3)
ROUTE = st.one_of(
    st.fixed_dictionaries(
        {"parentRefs": st.lists(PARENT, min_size=1, max_size=3), "path": st.sampled_from(PATHS)},
        optional={"hostnames": HOSTS},
    ),
    st.fixed_dictionaries(
        {
            "parentRefs": st.lists(PARENT, min_size=1, max_size=3),
            "rules": st.lists(RULE, min_size=1, max_size=8),
        },
        optional={"hostnames": HOSTS},
    ),
)


def admitted(route: dict[str, Any]) -> DataProduct | None:
    """Return the product with this route, and consumers at it.

    None where our own rules refuse it.
    """
    consumers = {"names": ["ranking"], "parentRefs": route["parentRefs"]}
    try:
        return DataProduct.parse(
            changed({"spec.route": route, "spec.rollout.consumers": consumers})
        )
    except InvalidProduct:
        return None


@pytest.fixture(scope="module")
def gateways(control_plane: ControlPlane) -> ControlPlane:
    install_gateway_api(control_plane)
    return control_plane


@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_route_that_the_product_crd_admits_is_admitted_by_the_gateway_api_crd(gateways, data):
    routes = data.draw(st.lists(ROUTE, min_size=MOST, max_size=MOST))
    written = []
    for number, product in enumerate(filter(None, map(admitted, routes))):
        assert product.spec.route is not None
        weight = data.draw(st.integers(1, 99))
        shares = [Backend("search-a", 100 - weight), Backend("search-b", weight)]
        for kind, build in (("route", build_route), ("draws", build_draw_route)):
            route = build(product, product.spec.route, shares)
            assert route is not None
            route["metadata"] = {"name": f"{kind}-{number}", "namespace": "default"}
            written.append(route)
    assume(written)
    listed = {"apiVersion": "v1", "kind": "List", "items": written}
    arguments = ("apply", "--server-side", "--dry-run=server", "-f", "-")
    try:
        gateways.kubectl(*arguments, stdin=json.dumps(listed))
    except ClusterError as error:
        pytest.fail(str(error))
