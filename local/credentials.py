"""Keys and tokens of a development stack: made once, kept in its data folder, readable by their owner only."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from local.folder import write

KEY_BITS: Final = 2048
PERMISSIONS: Final = ("settlement_network_read", "settlement_network_write")


def development_key(data: Path) -> tuple[Path, Path]:
    """The private and the public half of a key pair that plays BitGo's."""
    private, public = data / "bitgo-private.pem", data / "development.pem"
    if not (private.exists() and public.exists()):
        key = rsa.generate_private_key(65537, KEY_BITS)
        write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(), mode=0o600)
        write(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())
    return private, public


def operator_token(data: Path) -> tuple[Path, Path]:
    """A file with an operator's token, for people, and one with its hash and permissions, for the ingress."""
    token, known = data / "operator-token", data / "operator-tokens.json"
    if not token.exists():
        write(token, secrets.token_urlsafe(32) + "\n", mode=0o600)
    digest = hashlib.sha256(token.read_text().strip().encode()).hexdigest()
    write(known, json.dumps([{"name": "operator", "sha256": digest, "permissions": PERMISSIONS}]))
    return token, known
