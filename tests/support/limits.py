"""How long tests wait for something before they fail: one factor for all limits, for machines that are slow or busy."""

import os

FACTOR = float(os.environ.get("TIMEOUT_FACTOR", "1"))
"""`TIMEOUT_FACTOR=5 scripts/test` waits five times as long before it gives up; a run that passes takes no longer."""


def limit(seconds: float) -> float:
    """Seconds to wait at most for what takes less than `seconds` on an idle machine."""
    return seconds * FACTOR
