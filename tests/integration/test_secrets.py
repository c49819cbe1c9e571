"""Whatever happens, and however much is logged: no key, password or token leaves the process."""

from pathlib import Path

import psutil
import pytest
from aiohttp import web

from bridge.simulator import SimulatedPbx
from tests.integration.test_oneshot import EVERY_SOURCE, command
from tests.support.bridges import BridgeProcess, write_config
from tests.support.mosquitto import Mosquitto, with_passwords
from tests.support.subscriber import Subscriber

PASSWORD = "broker-pass-word"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_leaves_the_process_holds_a_secret(
    tmp_path: Path, pbx: SimulatedPbx, url: str, level: str, form: str
) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    tokens: set[str] = set()

    async def quoting(request: web.Request) -> web.StreamResponse | None:
        """Every answer but those that are needed quotes what it was asked with."""
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        tokens.update({token} - {""})
        if not request.path.endswith(("/ActiveCalls", "/Groups")):
            return None
        message = f"refused: {pbx.client_secret} {token}"
        return web.json_response({"error": {"code": "", "message": message}}, status=400)

    pbx.intercept = quoting
    accounts = with_passwords(folder, bridge=PASSWORD, reader="reader")
    async with (
        Mosquitto(folder, options=accounts) as broker,
        Subscriber(broker.port, login=("reader", "reader")) as all_,
    ):
        login = f"username: bridge, password: {PASSWORD}"
        path = write_config(tmp_path, pbx, url, broker.port, mqtt=login, **EVERY_SOURCE)
        path.write_text(path.read_text().replace("level: debug", f"level: {level}, format: {form}"))
        async with BridgeProcess.start(path) as bridge:
            await all_.until_latest("3cx/bridge/state", "online")
            await all_.until(lambda: "refused: ***" in all_.latest["3cx/bridge/info"])
            for request in ("check", "users", "refresh", "nonsense"):
                await all_.publish(f"3cx/bridge/request/{request}", "{}")
                await all_.until(lambda request=request: f"3cx/bridge/response/{request}" in all_.latest)  # type: ignore[misc]
            shown = [bridge.log(), str(all_.log)]
            shown += [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
        for arguments in (["check", "-v"], ["check"], ["users", "-v", "--json"]):
            _, output, errors = await command(*arguments, "-c", path)
            shown += [output, errors]
    assert tokens
    for secret in (pbx.client_secret, PASSWORD, *tokens):
        assert not [text for text in shown if secret in text], secret
