"""The example flows are consistent; tests/e2e runs them in a real Node-RED."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.topics import Topics
from tests.support.node_red import FLOWS

TOPICS = Topics("3cx", "3cx", "homeassistant")

# Nodes that come with every Node-RED, so that nothing needs to be installed.
CORE = {
    "catch", "change", "comment", "debug", "function", "group", "http in", "http response", "inject", "link in",
    "link out", "mqtt in", "mqtt out", "mqtt-broker", "rbe", "status", "switch", "tab", "template", "trigger",
}  # fmt: skip

Node = dict[str, Any]


@pytest.fixture(scope="module")
def flows() -> list[Node]:
    nodes: list[Node] = json.loads(FLOWS.read_text())
    return nodes


def of(flows: list[Node], *types: str) -> list[Node]:
    return [node for node in flows if node["type"] in types]


def targets(node: Node) -> Iterator[str]:
    """The ids of all nodes that this one names."""
    for output in node.get("wires", []):
        yield from output
    for key in ("links", "scope", "nodes"):
        yield from node.get(key) or []
    yield from (node[key] for key in ("z", "g") if key in node)
    if node["type"] in {"mqtt in", "mqtt out"}:
        yield node["broker"]


def test_the_flows_use_built_in_nodes_only(flows: list[Node]) -> None:
    assert {node["type"] for node in flows} <= CORE
    assert not any(node.get("libs") for node in flows)


def test_ids_are_unique_and_references_exist(flows: list[Node]) -> None:
    ids = [node["id"] for node in flows]
    assert len(set(ids)) == len(ids)
    assert {target for node in flows for target in targets(node)} <= set(ids)
    for group in of(flows, "group"):
        assert group["nodes"] == [node["id"] for node in flows if node.get("g") == group["id"]]


def test_functions_have_as_many_outputs_as_wires(flows: list[Node]) -> None:
    for node in of(flows, "function", "switch", "trigger"):
        assert len(node["wires"]) == node["outputs"], node["name"]


def test_there_is_one_broker_node_without_credentials(flows: list[Node]) -> None:
    (broker,) = of(flows, "mqtt-broker")
    assert (broker["broker"], broker["port"], broker["autoConnect"]) == ("localhost", "1883", True)
    assert broker["protocolVersion"] in {"4", "5"}
    assert "z" not in broker
    assert not any("credentials" in node for node in flows)


def test_commands_and_notifications_are_not_retained(flows: list[Node]) -> None:
    nodes = of(flows, "mqtt out")
    assert {node["topic"] for node in nodes} == {"zigbee2mqtt/meeting-room/set", "notify/missed-call"}
    assert all((node["retain"], node["qos"]) == ("false", "1") for node in nodes)


def test_subscriptions_are_topics_of_the_bridge(flows: list[Node]) -> None:
    (tab,) = of(flows, "tab")
    assert tab["env"] == [{"name": "ROOM", "value": "101", "type": "str"}]
    subscribed = {node["topic"]: node["datatype"] for node in of(flows, "mqtt in")}
    # A cleared document is empty, which is no JSON.
    assert subscribed == {
        TOPICS.bridge_state: "utf8",
        TOPICS.bridge_pbx: "utf8",
        TOPICS.user("+"): "utf8",
        TOPICS.user_call("+"): "json",
        "zigbee2mqtt/meeting-room/availability": "auto-detect",
    }
    assert all(node["qos"] == "1" for node in of(flows, "mqtt in"))
