"""The certificate of a server, read again when its files change."""

import errno
import logging
import ssl
from pathlib import Path
from typing import Final

from prometheus_client import Counter

from sluicegate.errors import InvalidInput, Problem

logger = logging.getLogger(__name__)

READS: Final = Counter(
    "certwatcher_read_certificate_total",
    "Times that the files of the server's certificate were read, at the start and after a change.",
)
READ_ERRORS: Final = Counter(
    "certwatcher_read_certificate_errors_total",
    "Reads of changed files that gave no certificate; the server keeps the one before.",
)

WAY_OUT: Final = (
    "give a certificate chain and its private key without a passphrase, both in PEM,"
    " such as tls.crt and tls.key of a Secret of type kubernetes.io/tls"
)

_TRANSIENT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors of a read that say nothing of the file."""

Version = tuple[tuple[int, int, int], ...]
"""Device, inode and time of change in ns of each file: another target of a link is another version."""


class CertificateUnreadable(InvalidInput):
    """The files are no certificate with its key; the message names the file, the reason and the way out."""


class ServingCertificate:
    """A certificate chain and its private key in files that another program replaces, such as the kubelet.

    Raises
    ------
    CertificateUnreadable
        The files can't be read now.
    """

    def __init__(self, certificate_file: Path, private_key_file: Path) -> None:
        self._files = (certificate_file, private_key_file)
        self._version = self._version_of_files()
        self._context = self._read()

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection, of the newest files that give a certificate.

        Costs two calls of stat while nothing changes. Files that change together, one after the other,
        are read again after each change. Files that can't be read for lack of descriptors or memory are read
        again at the next connection.
        """
        version = self._version_of_files()
        if version != self._version:
            self._version = version
            try:
                self._context = self._read()
            except CertificateUnreadable as error:
                if _is_transient(error.__cause__):
                    self._version = ()
                READ_ERRORS.inc()
                logger.error("%s; the server keeps the certificate before", error)  # noqa: TRY400 - no bug
            else:
                logger.info("read the changed certificate", extra={"file": str(self._files[0])})
        return self._context

    def _version_of_files(self) -> Version:
        """Return what differs after each change; empty if a file is missing."""
        try:
            stats = [file.stat() for file in self._files]
        except OSError:
            return ()
        return tuple((one.st_dev, one.st_ino, one.st_ctime_ns) for one in stats)

    def _read(self) -> ssl.SSLContext:
        READS.inc()
        certificate_file, private_key_file = self._files
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        for file in self._files:
            try:
                file.read_bytes()  # the error of OpenSSL names no file
            except OSError as error:
                raise _unreadable(file, error.strerror or str(error)) from error
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate_file)
        except ssl.SSLError as error:
            raise _unreadable(certificate_file, "there is no certificate in it") from error
        except OSError as error:  # not there any more
            raise _unreadable(certificate_file, error.strerror or str(error)) from error
        try:
            # Without a passphrase, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(certificate_file, private_key_file, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
            reason = f"it is not the key of the certificate in {certificate_file}"
            reason = reason if mismatch else f"there is no usable private key in it ({error})"
            raise _unreadable(private_key_file, reason) from error
        return context


def certificate_of(
    certificate_file: Path | None, private_key_file: Path | None
) -> ServingCertificate | None:
    """Return the certificate of these files, read now; None without files, for plain HTTP.

    Raises
    ------
    CertificateUnreadable
        The files can't be read now.
    """
    if certificate_file is None or private_key_file is None:
        return None
    return ServingCertificate(certificate_file, private_key_file)


def _is_transient(cause: BaseException | None) -> bool:
    if not isinstance(cause, OSError) or isinstance(
        cause, ssl.SSLError
    ):  # whose numbers are OpenSSL's
        return False
    return cause.errno in _TRANSIENT


def _unreadable(file: Path, reason: str) -> CertificateUnreadable:
    return CertificateUnreadable([Problem(str(file), f"can't be used ({reason}): {WAY_OUT}")])
