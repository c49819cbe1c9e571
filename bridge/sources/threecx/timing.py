"""The times of the 3CX sources that no option sets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThreecxTiming:
    """All in seconds. Tests pass shorter ones; the program uses the defaults."""

    shortest_trust: float = 20.0
    """Facts are used for so long after they were read, or for three intervals if that is longer."""
    step: float = 600.0
    """A source counts as stuck without a step for so long: more than a few requests take, each with its time-out."""
    longest_round: float = 1800.0
    """As `step`, for a round of a polled source: 200 pages of a PBX that needs nine seconds for each are no fault."""
    longest_backoff: float = 30.0
    """Between two polls while the PBX cannot be reached, or the interval if that is longer."""
    first_recheck: float = 5.0
    """Before the first retry where an administrator has to change something. A PBX that is starting refuses requests in
    the same ways, so the first retries come soon; the pauses double up to the following limits."""
    recheck_missing: float = 600.0
    """Longest pause where this build of 3CX lacks the function (404)."""
    recheck_permission: float = 120.0
    """Longest pause where a right is missing (401, 403)."""
    recheck_query: float = 60.0
    """Longest pause where the PBX rejects the query options (400)."""
    relaxed_interval: float = 15.0
    """From round to round of polled calls while the calls of all users are pushed."""
    probe_after: float = 10.0
    """Without an answer to any request for so long, the PBX is probed."""
    probe_interval: float = 60.0
    """The longest time between two probes: an upgrade may change what every source can read."""
    reconnect_first: float = 1.0
    """Before the websocket is opened again for the first time; the pauses double up to the next limit."""
    reconnect_longest: float = 30.0
    """The longest pause between two connections; one that lasted this long starts with the first pause again."""
    resync_pause: float = 1.0
    """The shortest time between two complete readings of Call Control, however many events were missed."""
    heartbeat: float = 10.0
    """Between two pings of the websocket; it is given up when a pong is half as long overdue."""
    extras_interval: float = 600.0
    """Between two readings of what changes seldom: labels of profiles, departments."""
    extras_retry: float = 15.0
    """Before these are read again after a failure."""
    extras_timeout: float = 3.0
    """How long reading one of these may delay a round of users."""
    shapes_interval: float = 60.0
    """Between two reports of new shapes; see ShapesSeen."""
    restart: float = 30.0
    """Before a source that ended by an internal error is started again."""

    def good_for(self, interval: float) -> float:
        """Seconds for which facts that are read every `interval` seconds may be used."""
        return max(self.shortest_trust, 3 * interval)

    read_back: tuple[float, ...] = (1.0, 2.0)
    """How long to wait before each look whether the PBX made a change that it accepted."""


USUAL = ThreecxTiming()
