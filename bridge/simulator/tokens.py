"""The tokens of the simulated PBX: one valid at a time, expiry units by version, and the block after wrong logins.

Sources: 3CX XAPI tutorial (one access token per client; `expires_in` in minutes before 20.0.9, in seconds since), 3CX's
knowledge base (an address is blocked after more than three wrong logins).
"""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

BAD_LOGINS = 3

_SECONDS_SINCE = (20, 0, 9)


@dataclass(slots=True)
class Tokens:
    """Logins to one API client."""

    client_id: str
    client_secret: str
    clock: Callable[[], float]
    jwt: bool
    block_seconds: float
    lifetime: int = 3600
    """Seconds."""
    granted: int = 0
    refused: int = 0
    _valid: tuple[str, float] | None = None
    _bad: dict[str, int] = field(default_factory=dict)
    _blocked_until: dict[str, float] = field(default_factory=dict)

    def login(self, client_id: str, client_secret: str, address: str) -> str | None:
        """A new token, which makes the previous one invalid; None where the credentials are wrong."""
        if (client_id, client_secret) != (self.client_id, self.client_secret):
            self.refused += 1
            self._bad[address] = self._bad.get(address, 0) + 1
            if self._bad[address] > BAD_LOGINS:
                self._blocked_until[address] = self.clock() + self.block_seconds
            return None
        self._bad.pop(address, None)
        self.granted += 1
        token = self._new()
        self._valid = (token, self.clock() + self.lifetime)
        return token

    def accepts(self, authorization: str) -> bool:
        """Whether this Authorization header carries the valid token."""
        if self._valid is None:
            return False
        token, end = self._valid
        return authorization == f"Bearer {token}" and self.clock() < end

    def blocks(self, address: str) -> bool:
        """Whether the address is on the PBX's blocklist."""
        return self.clock() < self._blocked_until.get(address, 0.0)

    def drop(self) -> None:
        """Make the token invalid, as a restart of the PBX does."""
        self._valid = None

    def _new(self) -> str:
        if not self.jwt:
            return secrets.token_urlsafe(32)
        now = int(self.clock())
        claims = {"client_id": self.client_id, "role": ["Users"], "nbf": now, "iat": now, "exp": now + self.lifetime}
        parts = [_encoded({"alg": "ES256", "typ": "JWT"}), _encoded(claims), secrets.token_urlsafe(32)]
        return ".".join(parts)


def expires_in(version: tuple[int, ...], lifetime: int) -> int:
    """The token's life, given in seconds, in the unit that this version uses."""
    return lifetime if version >= _SECONDS_SINCE else lifetime // 60


def _encoded(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
