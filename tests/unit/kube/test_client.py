"""Requests, errors, leases and ownership as pure functions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.kube import errors, requests
from sluicegate.kube.leases import LeaseRecord, parse_lease, render_lease, render_time
from sluicegate.kube.managed_fields import (
    Digests,
    canonical_value,
    fingerprint,
    owned_fingerprint,
    owned_part,
    written_at,
)
from sluicegate.kube.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, Key

if TYPE_CHECKING:
    from collections.abc import Callable

# Promised, so written as numbers here.
MARGIN_SECONDS = 5.0

KEY = Key("shop", "a")
BODY = {"metadata": {"namespace": "shop", "name": "a"}, "spec": {"replicas": 1}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (DEPLOYMENTS.path(), "/apis/apps/v1/deployments"),
        (DEPLOYMENTS.path("shop"), "/apis/apps/v1/namespaces/shop/deployments"),
        (CONFIG_MAPS.path("shop", "a"), "/api/v1/namespaces/shop/configmaps/a"),
        (NAMESPACES.path("", "shop"), "/api/v1/namespaces/shop"),
        (
            DEPLOYMENTS.path("shop", "a", subresource="status"),
            "/apis/apps/v1/namespaces/shop/deployments/a/status",
        ),
        (CONFIG_MAPS.path("shop", "../x"), "/api/v1/namespaces/shop/configmaps/..%2Fx"),
    ],
)
def test_request_paths_are_those_of_the_kubernetes_api(path, expected):
    assert path == expected


def test_building_a_request_does_not_modify_the_body():
    before = json.dumps(BODY)
    requests.apply_request(DEPLOYMENTS, BODY, field_manager="me", resource_version="7")
    assert json.dumps(BODY) == before


@pytest.mark.parametrize(
    "request_",
    [
        requests.apply_request(DEPLOYMENTS, BODY, field_manager="me"),
        requests.create_request(DEPLOYMENTS, BODY, manager="me"),
        requests.replace_request(DEPLOYMENTS, BODY, manager="me"),
        requests.patch_request(DEPLOYMENTS, KEY, {}, field_manager="me"),
        requests.delete_request(DEPLOYMENTS, KEY),
    ],
    ids=lambda request: request.verb,
)
def test_no_write_may_take_longer_than_three_seconds(request_):
    assert request_.seconds <= 3


def test_a_write_times_out_two_seconds_before_the_lease_may_expire():
    assert MARGIN_SECONDS >= 5
    assert requests.WRITE_SECONDS + 2 <= MARGIN_SECONDS


def test_an_impersonated_request_is_sent_with_all_groups_or_not_at_all():
    sent = requests.as_user(
        requests.get_request(CONFIG_MAPS, KEY),
        "ann",
        groups=("a", "b"),
        uid="u",
        extra_attributes={"X/y z": ["1"]},
    )
    assert sent.headers == (
        ("Impersonate-User", "ann"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"),
        ("Impersonate-Uid", "u"), ("Impersonate-Extra-X%2Fy%20z", "1"),
    )  # fmt: skip
    # The server trims what it reads of a header, and another header begins on the next line.
    for name in ("", " ann", "ann\t", "ann\r\nImpersonate-Group: admins", "a\0"):
        for wrong in ({"user": name}, {"user": "ann", "groups": (name,)}):
            with pytest.raises(ValueError, match="can't be sent as a header"):
                requests.as_user(requests.get_request(CONFIG_MAPS, KEY), **wrong)


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (401, "Unauthorized", errors.Unauthorized),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (400, "BadRequest", errors.BadRequest),
        (405, "MethodNotAllowed", errors.BadRequest),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (410, "Expired", errors.Gone),
        (413, "RequestEntityTooLarge", errors.Invalid),
        (415, "UnsupportedMediaType", errors.BadRequest),
        (422, "Invalid", errors.Invalid),
        (428, "", errors.Transient),
        (429, "TooManyRequests", errors.TooManyRequests),
        (500, "InternalError", errors.Transient),
        (503, "ServiceUnavailable", errors.Transient),
        (504, "Timeout", errors.Transient),
    ],
)
def test_an_error_response_raises_its_error_type_with_the_server_message(status, reason, kind):
    body = json.dumps({"reason": reason, "message": "the server's words"}).encode()
    error = errors.from_response("get /x", status, body, {})
    assert type(error) is kind
    assert "the server's words" in str(error)
    assert str(error).startswith("get /x")


def test_a_failed_webhook_call_is_distinguished_from_a_server_error():
    body = json.dumps({"message": 'failed calling webhook "x": no route'}).encode()
    assert type(errors.from_response("apply /x", 500, body, {})) is errors.WebhookFailed


def test_a_type_error_of_server_side_apply_is_no_transient_error():
    message = "failed to create typed live object (x/y; …): .spec.owner: expected string"
    body = json.dumps({"message": message}).encode()
    error = errors.from_response("apply /x", 500, body, {})
    assert isinstance(error, errors.Unapplicable)
    assert not isinstance(error, errors.Transient)


def test_a_lease_round_trips_through_json():
    moment = datetime(2026, 11, 24, 18, 0, 0, 120, tzinfo=UTC)
    record = LeaseRecord("a_1", 15, moment, moment, 3, "7")
    assert parse_lease(render_lease(KEY, record)) == record


def test_a_new_lease_record_lasts_fifteen_seconds_and_has_no_holder():
    assert LeaseRecord() == LeaseRecord("", 15, None, None, 0, "")
    assert render_lease(KEY, LeaseRecord("a")) == {
        "metadata": {"namespace": "shop", "name": "a"},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0},
    }


def test_a_lease_without_usable_fields_parses_as_unheld():
    for spec in ({}, None, {"renewTime": "soon", "acquireTime": ""}):
        bare = {"metadata": {"resourceVersion": "7"}, "spec": spec}
        assert parse_lease(bare) == LeaseRecord("", 0, None, None, 0, "7")


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-12, 12))  # noqa: DTZ001
def test_times_are_in_utc_with_six_digits(moment, hours):
    text = render_time(moment.replace(tzinfo=timezone(timedelta(hours=hours))))
    assert text.endswith("Z")
    assert len(text) == len("2026-11-24T18:00:00.000000Z")


def live(fields: dict, **spec: object) -> dict:
    entry = {"manager": "me", "operation": "Apply", "fieldsV1": fields}
    return {"metadata": {"name": "a", "managedFields": [entry]}, "spec": spec}


def test_the_owned_part_has_exactly_our_fields_with_their_live_values():
    body = live({"f:spec": {"f:a": {}, "f:b": {"f:c": {}}}}, a=1, b={"c": 2, "d": 3}, e=4)
    assert owned_part(body, "me") == {"spec": {"a": 1, "b": {"c": 2}}}
    assert owned_part(body, "somebody") == {}


def test_fields_applied_to_the_status_are_not_owned_in_the_spec():
    body = live({"f:status": {"f:state": {}}}, a=1)
    body["metadata"]["managedFields"][0]["subresource"] = "status"
    assert owned_part(body, "me") == {}
    own = {"manager": "me", "operation": "Apply", "fieldsV1": {"f:spec": {"f:a": {}}}}
    body["metadata"]["managedFields"].append(own)
    assert owned_part(body, "me") == {"spec": {"a": 1}}


def test_the_time_of_the_last_apply_is_read_from_managed_fields():
    body = live({"f:spec": {}})
    assert (written_at(body, "me"), written_at({}, "me")) == (0, 0)
    body["metadata"]["managedFields"][0]["time"] = "2026-11-29T08:00:00Z"
    assert (written_at(body, "me"), written_at(body, "somebody")) == (1_795_939_200, 0)


def test_items_of_a_list_map_are_owned_by_their_key():
    fields = {"f:spec": {"f:items": {'k:{"name":"x"}': {".": {}, "f:name": {}, "f:v": {}}}}}
    items = [{"name": "x", "v": 1, "w": 2}, {"name": "y", "v": 3}]
    assert owned_part(live(fields, items=items), "me") == {
        "spec": {"items": [{"name": "x", "v": 1}]}
    }


def test_items_of_a_list_set_are_owned_by_their_value():
    fields = {"f:spec": {"f:items": {".": {}, 'v:"x"': {}}}}
    assert owned_part(live(fields, items=["x", "y"]), "me") == {"spec": {"items": ["x"]}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"requests": {"cpu": "0.5"}}, {"requests": {"cpu": "500m"}}),
        (
            {"target": {"type": "Value", "value": "0.2"}},
            {"target": {"type": "Value", "value": "200m"}},
        ),
        ({"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}),
        ({"emptyDir": {"sizeLimit": "1Gi"}}, {"emptyDir": {"sizeLimit": "1024Mi"}}),
        ({"requests": {"cpu": "1000m"}}, {"requests": {"cpu": 1}}),
        ("1", 1),
        (1.0, 1),
        ({"a": [], "b": None, "c": ""}, {}),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "a"}]),
    ],
)
def test_two_spellings_of_one_value_compare_equal(one, other):
    assert canonical_value(one) == canonical_value(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "2"),
        ("v1", "v10"),
        (True, "true"),
        (True, "True"),
        (True, 1),
        ([1, 2], [2, 1]),
        ("1d", "1"),
        ({"version": "1.1"}, {"version": "1.10"}),
        ({"revision": "0e12345678"}, {"revision": "0e87654321"}),
        ({"revision": "1e99999999"}, {"revision": "2e99999999"}),
        ({"requests": {"cpu": "1e99999999"}}, {"requests": {"cpu": "2e99999999"}}),
    ],
)
def test_two_values_compare_unequal(one, other):
    assert canonical_value(one) != canonical_value(other)


OWNED = {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}}}


def labelled(fields: dict = OWNED, *, a: str = "x", b: str = "y", **changes: object) -> dict:
    body = live(fields, **{"replicas": 1, "paused": False, **changes})
    body["metadata"]["labels"] = {"a": a, "b": b}
    return body


def test_the_fingerprint_of_the_owned_part_equals_that_of_the_applied_body():
    applied = {"metadata": {"labels": {"a": "x"}}, "spec": {"replicas": 1}}
    assert owned_fingerprint(labelled(), "me") == fingerprint(applied)


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        (labelled(b="z"), True),
        (labelled() | {"status": {"replicas": 1}}, True),
        (labelled(paused=True), True),
        (labelled(replicas=2), False),
        (labelled(a="z"), False),
        (labelled({"f:spec": {"f:replicas": {}}}), False),
        (labelled({}), False),
    ],
    ids=["label", "status", "field", "our field", "our label", "our label is taken", "all taken"],
)
def test_a_changed_owned_part_changes_the_fingerprint(other, equal):
    before = owned_fingerprint(labelled(), "me")
    assert (owned_fingerprint(other, "me") == before) is equal
    assert owned_fingerprint(labelled(), "me") == before


def test_the_fingerprint_cache_keeps_the_last_observed_objects():
    computed: list[str] = []

    def known_as(name: str) -> Callable[[], str]:
        def compute() -> str:
            computed.append(name)
            return name

        return compute

    digests = Digests(2)
    for name in "abacab":
        assert digests.of({"name": name}, known_as(name)) == name
    assert computed == ["a", "b", "c", "b"]


def test_the_fingerprint_excludes_fields_that_are_never_owned():
    assert fingerprint({**BODY, "apiVersion": "apps/v1"}) == fingerprint({"spec": {"replicas": 1}})
    assert fingerprint({"metadata": {"labels": {"a": "b"}}}) != fingerprint({"metadata": None})
    named = {"metadata": {"name": "a", "namespace": "b", "labels": {"a": "b"}}, "kind": "X"}
    assert fingerprint(named) == fingerprint({"metadata": {"labels": {"a": "b"}}})
    assert fingerprint(named) != fingerprint({})
    assert fingerprint({"b": 1, "a": 2}) == fingerprint({"a": 2, "b": 1})
