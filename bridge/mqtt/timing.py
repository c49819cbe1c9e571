"""The times of the MQTT session that no option sets, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MqttTiming:
    """Tests shorten what they wait for; the program uses the defaults. Pairs are (first, most) of a back-off."""

    connect: float = 10.0
    """For DNS, TCP, TLS and CONNACK together; the same again for each SUBACK."""
    retry: tuple[float, float] = (0.5, 10.0)
    """Until the next attempt to connect, after the broker was not reachable."""
    refused_retry: tuple[float, float] = (60.0, 900.0)
    """Until the next attempt to connect, after the broker refused the login."""
    short_connection: float = 10.0
    """A connection that ends sooner does not count as success."""
    acknowledgement: float = 60.0
    """That a broker may take to acknowledge anything while the in-flight window is full."""
    denied_retry: tuple[float, float] = (60.0, 900.0)
    """Until denied publishes are sent again."""
    all_allowed: float = 60.0
    """Without another denial, after which the broker counts as allowing everything."""
    quiet: float = 1.0
    """Without a message, after which read-back ends where the broker withholds the echo."""
    quiet_after_echo: float = 0.05
    """The same once the echo has come."""
    late: float = 2.0
    """That a retained message may be behind the echo: some brokers send them from a process of their own."""
    quiet_after_late: float = 0.5
    """Without a message, after which read-back ends at such a broker, or longer where it has been later than that."""
    longest_read_back: float = 4.0
    """Beside what the own topics take: others may have left any number of topics."""
    read_back_per_user: float = 0.003
    """What the own topics may take for each user, up to `longest_own`."""
    longest_own: float = 30.0
    repair_pause: float = 10.0
    """Between two repairs of a topic that other clients write to again and again."""
    blameless: float = 10.0
    """After a connect to a broker that sends retained messages late: so long they are nobody's new writes."""
    rival_lives: float = 150.0
    """Between two messages on `bridge/health` of another bridge that is at work: it sends one a minute."""
    rival_silence: float = 300.0
    """After the last word of another bridge that goes on, until this one publishes again."""
    farewell: float = 2.0
    """That the broker may take to acknowledge the farewell messages and the last `offline`."""
    pace: float = 0.01
    """The shortest pause while `max_rate` holds messages back, so that each wake-up sends several."""
    step: float = 120.0
    """Within which the session makes progress; whatever it waits for at the broker ends sooner."""
    progress_check: float = 5.0
    """Between two checks for progress."""
    drop_report: float = 60.0
    """Between two log lines about messages that a full queue drops."""
    echo: float = 3.0
    """That a broker may take to return a one-shot client's own message."""
    answer: float = 10.0
    """That a running bridge may take to answer a one-shot client, and a broker to acknowledge what that publishes."""


USUAL = MqttTiming()
