"""How people write the broker's address."""

import pytest
from voluptuous import Invalid

from bridge.mqtt.host import BrokerHost


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("broker.lan", "broker.lan"),
        (" broker.lan ", "broker.lan"),
        ("192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        (" [fe80::1%eth0] ", "fe80::1%eth0"),
        ("core-mosquitto", "core-mosquitto"),
        ("büro.example", "büro.example"),
    ],
)
def test_a_name_or_an_address_is_understood(written: str, host: str) -> None:
    assert BrokerHost()(written) == host


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("mqtt://broker.lan", "is a URL: write mqtt.host broker.lan"),
        ("tcp://broker.lan:1884", "is a URL: write mqtt.host broker.lan, mqtt.port 1884"),
        ("mqtts://broker.lan:8883", "is a URL: write mqtt.host broker.lan, mqtt.port 8883, mqtt.tls.enabled true"),
        ("mqtt://[::1]:1883/", "is a URL: write mqtt.host ::1, mqtt.port 1883"),
        ("mqtt://broker:port", "is a URL: write only the broker's name or address"),
        ("ws://broker.lan:9001/mqtt", "is a URL of ws: MQTT over websockets is not supported"),
        (
            "broker.lan:1883",
            "'broker.lan:1883' is more than a name or address: write mqtt.host broker.lan and mqtt.port",
        ),
        ("[::1]:1883", "'[::1]:1883' is more than a name or address: write mqtt.host [::1] and mqtt.port 1883"),
        ("/run/mosquitto.sock", "'/run/mosquitto.sock' is a path"),
        ("broker lan", "'broker lan' is no name or address"),
        ("broker.lan/mqtt", "'broker.lan/mqtt' is no name or address"),
        ("   ", "must not be empty"),
    ],
)
def test_anything_else_is_refused_with_advice(written: str, advice: str) -> None:
    with pytest.raises(Invalid) as caught:
        BrokerHost()(written)
    assert str(caught.value).startswith(advice)


@pytest.mark.parametrize("written", ["mqtt://ada:hush-hush@broker.lan", "ada:hush-hush@broker.lan"])
def test_a_login_in_the_host_is_not_shown(written: str) -> None:
    with pytest.raises(Invalid) as caught:
        BrokerHost()(written)
    assert "hush" not in str(caught.value)
    assert "mqtt.username and mqtt.password" in str(caught.value)
