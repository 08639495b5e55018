"""A sample of `make fuzz-inputs`: inputs that no client writes are refused, or act on their own product."""

from __future__ import annotations

from ipaddress import IPv4Network
from random import Random

import pytest

from tests.support.fuzz.archives import check_archive
from tests.support.fuzz.objects import check_object
from tests.support.fuzz.requests import check_requests
from tests.support.fuzz.servers import operator_server, page_server


def test_a_fuzzed_object_is_refused_or_acts_on_its_own_product():
    accepted = [check_object(Random(number)) for number in range(40)]
    assert {True, False} == set(accepted)


def test_a_fuzzed_archive_is_refused_or_unpacked_below_its_folder(tmp_path):
    accepted = [check_archive(Random(number), tmp_path) for number in range(40)]
    assert {True, False} == set(accepted)


@pytest.mark.parametrize("name", ["operator", "page"])
async def test_malformed_requests_cause_no_server_error_and_no_unanswered_probe(name, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("between us\n")
    peers = (IPv4Network("127.0.0.0/8"),)
    server = operator_server() if name == "operator" else page_server(peers, secret)
    async with server as port:
        assert await check_requests(port, Random(1), 60) > 30
