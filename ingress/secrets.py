"""What the ingress reads from files: keys, operators' tokens, its certificate; each may be replaced."""

from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ingress.auth.operators import OperatorToken, load_operator_tokens
from ingress.auth.private_keys import load_private_keys
from ingress.auth.public_keys import load_public_keys
from ingress.auth.signatures import Signatures
from ingress.http.tls import Certificate
from ingress.reloading import Watched
from ingress.settings import IngressSettings


class Secrets:
    """`watched` says how each is read again; it knows the files as they were before they were read."""

    def __init__(self, settings: IngressSettings) -> None:
        """Raises OperatorError for a file that can not be used."""
        self._settings = settings
        self.watched = list(self._watched())
        self.signatures = Signatures(
            load_public_keys(settings.bitgo_public_key_files),
            leeway_seconds=settings.token_leeway_seconds,
            max_age_seconds=settings.max_token_age_seconds,
            require_jti=settings.require_jti,
        )
        self.operators: list[OperatorToken] = load_operator_tokens(settings.operator_tokens_file)
        self.connection_token_keys: list[RSAPrivateKey] = load_private_keys(settings.connection_token_key_files)
        certificate, key = settings.tls_certificate_file, settings.tls_key_file
        self.certificate = Certificate(certificate, key) if certificate and key else None

    def _watched(self) -> Iterator[Watched]:
        settings = self._settings
        yield Watched("BitGo's keys", settings.bitgo_public_key_files, self._load_keys)
        if settings.operator_tokens_file:
            yield Watched("operators' tokens", [settings.operator_tokens_file], self._load_operators)
        if settings.connection_token_key_files:
            yield Watched("keys for connection tokens", settings.connection_token_key_files, self._load_private_keys)
        if settings.tls_certificate_file and settings.tls_key_file:
            files = [settings.tls_certificate_file, settings.tls_key_file]
            yield Watched("TLS certificate", files, self._load_certificate)

    def _load_keys(self) -> None:
        self.signatures.keys = load_public_keys(self._settings.bitgo_public_key_files)

    def _load_operators(self) -> None:
        """In place: whoever checks tokens has this list."""
        self.operators[:] = load_operator_tokens(self._settings.operator_tokens_file)

    def _load_private_keys(self) -> None:
        """In place, as well."""
        self.connection_token_keys[:] = load_private_keys(self._settings.connection_token_key_files)

    def _load_certificate(self) -> None:
        if self.certificate:
            self.certificate.load()
