"""Limits of how long tests wait, all scaled by one factor for slow or busy machines."""

import os

FACTOR = float(os.environ.get("TIMEOUT_FACTOR", "1"))
"""`TIMEOUT_FACTOR=5 scripts/test` waits five times as long before a test fails; a run that passes takes no longer."""


def limit(seconds: float) -> float:
    """The limit, in seconds, for something that takes less than `seconds` on an idle machine."""
    return seconds * FACTOR
