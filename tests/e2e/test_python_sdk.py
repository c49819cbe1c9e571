"""A client that others wrote reads the simulated PBX: the SDK `3cx-xapi-python-sdk` of PyPI, in its own environment."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator import SimulatedPbx
from tests.support.limits import limit

PYTHON = Path(".cache/python-sdk/bin/python").absolute()
PROGRAM = Path(__file__).with_name("read_with_sdk.py")


async def read(pbx: SimulatedPbx) -> dict[str, Any]:
    """What the SDK finds."""
    assert PYTHON.exists(), "the SDK is missing; scripts/test-e2e installs it"
    async with pbx.serve() as url:
        process = await asyncio.create_subprocess_exec(
            PYTHON,
            PROGRAM,
            url,
            pbx.client_id,
            pbx.client_secret,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        )
        async with asyncio.timeout(limit(30)):
            output, _ = await process.communicate()
    assert process.returncode == 0
    found = json.loads(output)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(("version", "new"), [("20.0.8.1109", False), ("20.0.10.51", True)])
async def test_an_sdk_of_others_reads_everything(version: str, new: bool) -> None:
    pbx = SimulatedPbx(users=3, version=version)
    pbx.change("101", queue="LoggedIn")
    pbx.change("102", profile=None)
    pbx.exchange.answer(pbx.exchange.ring("0301234567", "101"))
    pbx.exchange.ring("100", "0309999999", routed=False)
    found = await read(pbx)
    page = found.pop("two users")
    assert (page["@odata.count"], page["value"]) == (3, [{"Number": "100"}, {"Number": "101"}])
    refusals = found.pop("refusals")
    assert found == {
        "users": [
            ["100", "Ada Example", "LoggedOut"],
            ["101", "Bruno O'Brien", "LoggedIn"],
            ["102", "Chloé Müller", "LoggedOut"],
        ],
        "all users": ["100", "101", "102"],
        "profiles": ["Available", "Available", None],
        "user": ["101", "Bruno O'Brien", False if new else None],
        "groups of a user": ["Sales"],
        "forwarding": ["Available", "Away", "Out of office", "Custom 1", "Custom 2"],
        "filtered": ["101"],
        "searched": ["101"],
        "calls": [
            ["10001 SIP-Trunk (0301234567)", "101 Bruno O'Brien", "Talking", True],
            ["100 Ada Example", "ROUTER", "Routing", False],
        ],
        "departments": [[0, "DEFAULT"], [1, "Sales"], [2, "Support"]],
        "members": ["101"],
        "queue": ["8000", "Support", ["100", "101", "102"]],
        "ring groups": [["8100", "Reception", ["100", "101"]]],
        "trunks": [["10001", True]],
        "status": [version, 2, 3, 3 if new else None],
        "parameters": version,
        "time zones": 1,
    }
    assert "The limit of '100' for Top query has been exceeded" in refusals[0]
    assert "Could not find a property named 'Nothing' on type 'Pbx.User'." in refusals[1]
    assert "Syntax error: character '1' is not valid at position 0 in '101'." in refusals[2]
    assert refusals[3] == "NotFoundError"
