"""The states of the session with the broker."""

from enum import StrEnum


class SessionState(StrEnum):
    """Where the session is; from `connecting` to `in sync` in this order, and back at any time."""

    STOPPED = "stopped"
    STANDBY = "standby"
    """Waiting for leave to connect, as another bridge of a pair is active."""
    CONNECTING = "connecting"
    """DNS, TCP, TLS, CONNECT."""
    READING_BACK = "reading back"
    """Connected; collecting what the broker retains."""
    SYNCHRONISING = "synchronising"
    """Waiting for the application and for subscriptions, to compare what should be retained with what is."""
    SILENT = "silent"
    """Connected, and another bridge is at work under the same base topic."""
    IN_SYNC = "in sync"
    """The difference is on its way, and changes follow as they come."""
    WAITING = "waiting"
    """Not connected; the next attempt comes after a pause."""
    REFUSED = "refused"
    """The same after a refused login: a longer pause."""
    STOPPING = "stopping"
    """Publishing the farewell messages and `offline`."""
