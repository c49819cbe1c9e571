"""`diagnose`: an archive for reports, without names of people."""

import json
import tarfile
from pathlib import Path

from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import EVERY_SOURCE, command
from tests.support.bridges import running, write_config
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.subscriber import Subscriber


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        files = {member.name.removeprefix("3cx2mqtt-diagnose/"): tar.extractfile(member) for member in tar}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


PRIVATE = """\
privacy: {caller_id: full}
groups: {boss: ["7001"]}
lights: [{name: secret-desk, driver: zigbee2mqtt, topic: zigbee2mqtt/Bob Desk, group: boss}]
"""


async def test_it_holds_what_is_needed_and_no_name_number_host_or_secret(
    tmp_path: Path, pbx: SimulatedPbx, url: str, broker: Mosquitto, subscriber: Subscriber
) -> None:
    pbx.add_user("7001", 'Zoë "Zo" Secretive')
    pbx.exchange.ring("0301234567", "7001")
    path = write_config(
        tmp_path,
        pbx,
        url,
        broker.port,
        users='exclude: ["7009*"]',
        more=PRIVATE,
        mqtt="username: somebody",
        **EVERY_SOURCE,
    )
    target = tmp_path / "report.tar.gz"
    async with running(path):
        await subscriber.until(lambda: '"state":"ringing"' in subscriber.latest.get("3cx/users/7001", ""))
        code, output, errors = await command("diagnose", "-c", path, "-o", target)
    assert (code, errors) == (0, "")
    assert output == f"{target}: look through it before you attach it to a bug report\n"
    assert target.stat().st_mode & 0o777 == 0o600
    files = unpacked(target)
    assert set(files) == {"README.txt", "about.txt", "config.json", "check.txt", "shapes.json", "topics.txt"}
    assert "3cx2mqtt " in files["about.txt"]
    assert "ok    users: 4 rows" in files["check.txt"]
    shapes = json.loads(files["shapes.json"])
    assert shapes["profile"]["Available"] >= 4
    assert all(count >= 1 for count in shapes["caller"].values())
    everything = "\n".join(files.values())
    for private in (
        "Zoë",
        "Zo",
        "boss",
        "secret-desk",
        "Bob Desk",
        "7009*",
        "7001",
        "0301234567",
        "127.0.0.1",
        "somebody",
        pbx.client_id,
        pbx.client_secret,
    ):
        assert private not in everything, private
    ringing = next(line for line in files["topics.txt"].splitlines() if '"state":"ringing"' in line)
    user = ringing.split()[0].rpartition("/")[2]
    assert f"3cx/users/{user}/state (7): ringing" in files["topics.txt"]


async def test_it_is_made_even_where_nothing_works_and_overwrites_nothing(tmp_path: Path, pbx: SimulatedPbx) -> None:
    path = write_config(tmp_path, pbx, f"http://127.0.0.1:{free_port()}", free_port(), client_secret="hush-hush-hush")
    target = tmp_path / "report.tar.gz"
    code, _, _ = await command("diagnose", "-c", path, "-o", target)
    assert code == 0
    files = unpacked(target)
    assert "FAIL  broker: cannot connect" in files["check.txt"]
    assert "FAIL  token: cannot reach" in files["check.txt"]
    assert "hush-hush-hush" not in "".join(files.values())
    code, _, errors = await command("diagnose", "-c", path, "-o", target)
    assert (code, "File exists" in errors) == (1, True)
