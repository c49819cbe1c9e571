"""Recordings of what a PBX says, without anything personal: to replay, and to attach to a bug report."""

USUAL = 120.0
"""Seconds of a recording, unless something else is asked for."""
LONGEST = 600.0
"""The same at most."""
