"""The cookie of whoever has logged in: stateless, so that it survives restarts, and signed by what it was given for.

A cookie ends with its time, and as soon as the password or the token behind it is changed: the key is derived from it.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable

from bridge.topics import to_json

LASTS = 30 * 86400
"""Seconds."""

ADMIN = ""
"""Whom the cookie is for: the password's owner. Others are the names of tokens, which are never empty."""

_PURPOSE = b"3cx2mqtt cookie 1"
_LONGEST = 512


def cookie_name(pbxs: Iterable[str], port: int) -> str:
    """Browsers share cookies among all ports of a host, and one host may have several bridges."""
    names = hashlib.sha256("\n".join(sorted(pbxs)).encode()).hexdigest()[:8]
    return f"3cx2mqtt-{names}-{port}"


class Sessions:
    """Makes and checks cookies. `secrets` are what they are given for: by name, see ADMIN."""

    def __init__(self, secrets: dict[str, str], wall: Callable[[], float]) -> None:
        self._keys = {name: hmac.digest(secret.encode(), _PURPOSE, "sha256") for name, secret in secrets.items()}
        self._wall = wall

    def issue(self, name: str) -> str:
        """A cookie for `name`."""
        payload = to_json({"name": name, "until": int(self._wall()) + LASTS}).encode()
        return f"{_text(payload)}.{_text(hmac.digest(self._keys[name], payload, 'sha256'))}"

    def check(self, cookie: str) -> str | None:
        """Whom the cookie was issued for; None where it is not valid, or not any more."""
        try:
            payload, signature = (_bytes(part) for part in cookie[:_LONGEST].split("."))
            claimed = json.loads(payload)
            name, until = claimed["name"], claimed["until"]
            key = self._keys[name]
        except (ValueError, KeyError, TypeError, binascii.Error):
            return None
        if not hmac.compare_digest(signature, hmac.digest(key, payload, "sha256")) or until < self._wall():
            return None
        return str(name)


def same(given: str, wanted: str) -> bool:
    """Compares two secrets in a time that tells nothing about them, their lengths included."""
    return hmac.compare_digest(_hash(given), _hash(wanted))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
