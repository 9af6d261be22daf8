"""What the settings of Kafka name by file, read at each connection: what replaces it is used by the next one."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.errors import UnavailableError

TOKEN_SECONDS: Final = 10.0
"""How long a token provider may take."""


class PasswordFile(str):
    """The path of a file that holds a password; a string, because that is what passes through aiokafka and Faust."""

    __slots__ = ()

    def read(self) -> str:
        """Raises UnavailableError."""
        return password_in(Path(self))


@dataclass(frozen=True)
class TlsFiles:
    """Stands for an SSLContext until a connection is made. `key_password` is its own or a PasswordFile."""

    ca: Path | None
    certificate: Path | None
    key: Path | None
    key_password: str

    def load(self) -> ssl.SSLContext:
        """Raises UnavailableError while the files can not be used: they may be in the middle of a change."""
        password = self.key_password
        password = password.read() if isinstance(password, PasswordFile) else password
        try:
            for file in filter(None, (self.ca, self.certificate, self.key)):
                file.open("rb").close()  # whose error, unlike that of OpenSSL, names it
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key, password=password)
        except ssl.SSLError as error:
            raise UnavailableError(
                f"the files of KAFKA_SSL_… do not belong together, or KAFKA_SSL_KEY_PASSWORD is another key's: {error}"
            ) from error
        except OSError as error:
            raise UnavailableError(f"the files of KAFKA_SSL_… can not be used: {error}") from error
        return context


def password_in(file: Path) -> str:
    """Raises UnavailableError."""
    try:
        return file.read_text(errors="replace").rstrip("\r\n")
    except OSError as error:
        raise UnavailableError(f"{file} can not be read: {error.strerror}") from error
