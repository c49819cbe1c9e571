"""The times of the HTTP server that no option sets, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebTiming:
    """Tests shorten what they wait for; the program uses the defaults."""

    longest_connection: float = 10.0
    """A connection is cut off after this, whether or not it has been answered; streams aside."""
    beat: float = 1.0
    """Between two beats of a stream."""
    look_again: float = 10.0
    """Between two looks at what changes without anybody telling: findings, delays."""
    longest_write: float = 15.0
    """A client of a stream must take what it is sent within this."""
    longest_command: float = 20.0
    """The PBX must have answered to a command within this."""
    last_answers: float = 0.2
    """Answers under way may take this long when the server is closed."""
    first_retry: float = 1.0
    """From the first failure to listen to the next attempt; doubled up to `longest_retry`."""
    longest_retry: float = 60.0


USUAL = WebTiming()
