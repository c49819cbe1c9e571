"""`dashboard` prints what Home Assistant's raw configuration editor takes, with the entities of discovery."""

from pathlib import Path
from typing import Any

import yaml

from bridge.domain.model import State
from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import command
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber


def entities_of(card: dict[str, Any]) -> set[str]:
    return {card["entity"], *(condition["entity"] for condition in card["visibility"])}


async def test_each_user_has_a_tile_in_the_section_of_the_department(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    config = write_config(tmp_path, pbx, url, broker.port, users_source="interval: 500ms")
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: f"user_{list(pbx.users)[-1]}/config" in str(subscriber.latest.keys()))
        code, output, errors = await command("dashboard", "-c", config)
    assert (code, errors) == (0, "")
    (view,) = yaml.safe_load(output)["views"]
    tiles = [card for section in view["sections"] for card in section["cards"] if card["type"] == "tile"]
    assert {card["name"] for card in tiles} >= {user.name for user in pbx.users.values()}
    discovered = {
        component["default_entity_id"]
        for topic in list(subscriber.latest)
        if topic.endswith("/config")
        for component in subscriber.json(topic)["components"].values()
        if "default_entity_id" in component
    }
    used = {entity for card in tiles for entity in entities_of(card)} | {badge["entity"] for badge in view["badges"]}
    assert used <= discovered
    shown = [
        state
        for card in tiles
        if card["entity"] == "sensor.3cx_hq_101_state"
        for state in card["visibility"][0]["state"]
    ]
    assert sorted(shown) == sorted([*State, "unavailable"])


async def test_without_users_it_says_what_to_do(tmp_path: Path, pbx: SimulatedPbx) -> None:
    config = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port())
    code, output, errors = await command("dashboard", "-c", config)
    assert (code, output) == (69, "")
    assert "cannot connect" in errors
