"""Requests that a Go Account key signed (contract, sections 7 and 10).

`payload` is JSON.stringify of all the other properties, `signature` is over `payload` exactly as it was sent. Chosen:
payload and properties are compared by value, so that spaces and the order of names do not count; a nonce may come
again, because a repeat after a lost answer carries it.
"""

from typing import Any, Final

from bitgo.simulator.api.errors import ApiError, bad_request
from bitgo.simulator.partner import Partner
from bitgo.simulator.signatures import is_signed_by
from schemas import strict_json

_PROOF: Final = {"payload", "signature"}


def check_signature(partner: Partner, document: dict[str, Any]) -> None:
    """Raises ApiError: 400 when the payload is not what the other properties are, 401 for a wrong signature."""
    payload, signature = str(document["payload"]), str(document["signature"])
    try:
        signed = strict_json.loads(payload.encode())
    except strict_json.NotJsonError:
        raise bad_request("payload is not JSON") from None
    if signed != {name: value for name, value in document.items() if name not in _PROOF}:
        raise bad_request("payload is not JSON.stringify of all the other properties")
    if not is_signed_by(partner.go_account_key, payload, signature):
        raise ApiError(401, "signature verification failed")
