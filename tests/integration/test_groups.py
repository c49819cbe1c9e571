"""Groups and lights follow people who move between departments, without a restart."""

from pathlib import Path

from bridge.simulator import SimulatedPbx
from bridge.simulator.prompt import Prompt
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Subscriber

MORE = """\
groups: {sales: {departments: [Sales]}, logistics: {departments: [Logistics]}}
lights:
  - {name: sales, driver: wled, topic: wled/sales, group: sales}
  - {name: logistics, driver: wled, topic: wled/logistics, group: logistics}
"""


async def test_members_move_on_topics_and_lights_and_the_moved_are_remembered(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    def shows(light: str) -> str:
        return str(subscriber.json(f"3cx/lights/{light}/state")["why"])

    prompt = Prompt(pbx)
    prompt.do("profile 101 Away")
    config = write_config(
        tmp_path, pbx, url, broker.port, more=MORE, source="enabled: false", users_source="interval: 500ms"
    )
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        assert subscriber.json("3cx/groups/sales")["away"] == ["101"]
        await subscriber.until(lambda: (shows("sales"), shows("logistics")) == ("101 away", "no user to follow"))
        prompt.do("department 102 Sales")
        await subscriber.until(lambda: subscriber.json("3cx/groups/sales")["available"] == ["102"])
        prompt.do("department 101 Support")
        await subscriber.until(lambda: shows("sales") == "102 available")
        assert subscriber.json("3cx/users/101")["department"] == "Support"
        prompt.do("department 102 DEFAULT")
        await subscriber.until(lambda: subscriber.latest["3cx/groups/sales/busy"] == "None")
        await subscriber.until(lambda: shows("sales") == "no user to follow")
        prompt.do("department 102 Sales")
        await subscriber.until(lambda: subscriber.latest["3cx/groups/sales/busy"] == "OFF")
    pbx.may_read_departments = False
    seen, before = len(subscriber.log), set(subscriber.latest.items())
    async with running(config):
        await subscriber.until_latest("3cx/bridge/state", "online")
        await subscriber.until(lambda: shows("sales") == "102 available")
        news = {(topic, payload) for topic, payload, _ in subscriber.log[seen:] if topic.startswith("3cx/groups/sales")}
        assert news <= before
