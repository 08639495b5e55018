"""Every request to the API server: path, query, headers, body and time limit, as they are sent."""

from __future__ import annotations

import json

from sluicegate.kube import requests
from sluicegate.kube.resources import (
    DATA_PRODUCTS,
    DEPLOYMENTS,
    NAMESPACES,
    SERVICES,
    TOKEN_REVIEWS,
    Key,
)

CARS = Key("catalog", "cars/é")
BODY = {"metadata": {"namespace": "catalog", "name": "cars", "labels": {"a": "b"}}, "spec": {}}


def every_request() -> dict[str, requests.ApiRequest]:
    """Built by the test, so that it executes what it tests."""
    return {
        "get": requests.get(DEPLOYMENTS, CARS),
        "list": requests.list_page(SERVICES, limit=250),
        "list further": requests.list_page(
            SERVICES, namespace="catalog", labels="a=b", limit=2, token="t/1"
        ),
        "watch": requests.watch(SERVICES, namespace="catalog", version="7", seconds=240),
        "review": requests.review(TOKEN_REVIEWS, {"token": "t"}),
        "discover": requests.discovery(DEPLOYMENTS),
        "discover core": requests.discovery(SERVICES),
        "apply": requests.apply(DEPLOYMENTS, BODY, manager="m"),
        "apply status": requests.apply(
            DATA_PRODUCTS, BODY, manager="m", resource_version="7", subresource="status"
        ),
        "apply new": requests.apply(
            SERVICES, BODY, manager="m", resource_version=requests.ABSENT, dry_run=True
        ),
        "apply a namespace": requests.apply(
            NAMESPACES, {"metadata": {"name": "catalog"}}, manager="m"
        ),
        "create": requests.create(SERVICES, BODY, manager="m"),
        "replace": requests.replace(SERVICES, BODY, manager="m"),
        "patch": requests.patch(SERVICES, CARS, {"spec": {"x": None}}, manager="m"),
        "patch a version": requests.patch(
            SERVICES, CARS, {"metadata": {"labels": {}}}, manager="m", resource_version="7"
        ),
        "delete": requests.delete(SERVICES, CARS),
        "delete a version": requests.delete(
            SERVICES, CARS, uid="u", resource_version="7", propagation="Orphan"
        ),
        "as a user": requests.as_user(
            requests.get(SERVICES, CARS),
            "ann",
            groups=["a", "b"],
            uid="u",
            extra={"x/y": ["1", "2"]},
        ),
        "as a user alone": requests.as_user(requests.get(SERVICES, CARS), "ann"),
    }


def shown(request):
    lines = [f"{request.verb}: {request.method} {request.target}", f"within {request.seconds:g} s"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.body is not None:
        lines += [f"Content-Type: {request.content_type}", json.dumps(request.body)]
    return "\n".join(lines)


def test_each_request_reads_as_reviewed(golden):
    golden(
        "requests.txt",
        "\n\n".join(f"# {name}\n{shown(one)}" for name, one in every_request().items()) + "\n",
    )
