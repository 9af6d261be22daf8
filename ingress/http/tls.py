"""The certificate that the ingress shows to its callers, replaceable while it runs."""

import ssl
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

from ingress import metrics
from service.errors import OperatorError


class Certificate:
    """`context` is for the listening socket. Connections that come after a `load` see what that loaded."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises OperatorError."""
        self._files = (certificate, key)
        self.load()
        self.context = self._loaded
        self.context.sni_callback = self._show

    def load(self) -> None:
        """Read both files again. Raises OperatorError, and shows the certificate of before, when they do not fit."""
        certificate, key = self._files
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(certificate, key, password="")
            expires = _expiry(certificate)
        except (OSError, ValueError) as error:
            raise OperatorError(f"the TLS certificate or its key can not be loaded: {error}") from error
        self._loaded = context
        metrics.CERTIFICATE_EXPIRES.labels(str(certificate)).set(expires.timestamp())

    def _show(self, connection: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        """OpenSSL calls this at every handshake, also of callers that name no server."""
        connection.context = self._loaded


def _expiry(certificate: Path) -> datetime:
    return x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc
