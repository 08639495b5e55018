"""The tests' reader of the audit log takes what is there whole, and all of it."""

from __future__ import annotations

import pytest

from tests.support.apiserver.audit import audited


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.log"


def test_an_incomplete_audit_entry_is_read_later(log):
    written = '{"auditID": "a"}\n{"auditID": "b"}\n{"auditID": "c", "reason": "sür"}\n'.encode()
    inside_a_character = written.index("ü".encode()) + 1
    log.write_bytes(written[:inside_a_character])
    assert [write["auditID"] for write in audited(log)] == ["a", "b"]

    log.write_bytes(written)
    assert [write["auditID"] for write in audited(log)] == ["a", "b", "c"]


def test_audit_entries_of_other_users_are_skipped(log):
    log.write_text(
        '{"auditID": "a", "objectRef": {"namespace": "one"}}\n'
        '{"auditID": "b", "objectRef": {"namespace": "one-more"}}\n'
        '{"auditID": "c", "user": {"username": "somebody"}}\n'
    )
    assert [write["auditID"] for write in audited(log, "one", "somebody")] == ["a", "c"]


@pytest.mark.parametrize("text", ["", '{"auditID": "a'])
def test_an_audit_log_without_a_complete_entry_has_none(log, text):
    log.write_text(text)
    assert audited(log) == []


def test_a_rotated_audit_log_is_refused_as_incomplete(log):
    log.write_text('{"auditID": "b"}\n')
    log.with_name("audit-2026-11-27T09-28-06.000.log").write_text('{"auditID": "a"}\n')
    with pytest.raises(AssertionError, match=r"audit-2026-11-27T09-28-06\.000\.log"):
        audited(log)
