"""What `diagnose` writes names no person, host or company, whatever configuration, broker and PBX hold."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.commands.diagnose import masked_files
from bridge.commands.masking import Masking, vocabulary
from bridge.config.load import load
from bridge.topics import object_id

KNOWN = {word.casefold() for word in vocabulary()}
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßéłøçşğžABCDEFXYZÄÖÜжзийклשבגדה王小明李静さとう"


def unknown(alphabet: str, least: int = 4) -> st.SearchStrategy[str]:
    """Words that the program does not know, so that a search finds them only where they were not masked."""
    return st.text(alphabet, min_size=least, max_size=12).filter(lambda word: word.casefold() not in KNOWN)


word = unknown(LETTERS)
ascii_word = unknown("abcdefghijklmnopqrstuvwxyz")
name = st.lists(word, min_size=1, max_size=3).map(" ".join) | st.tuples(word, word).map("{0[0]}'{0[1]} (x)".format)
number = st.text("0123456789", min_size=4, max_size=5).filter(lambda digits: digits not in {"8883", "5001", "9321"})
dn = number | unknown("0123456789äé*") | st.tuples(number, word).map("".join)
host = st.tuples(ascii_word, ascii_word).map("{0[0]}-pbx.{0[1]}.example".format) | st.tuples(
    *[st.integers(100, 250)] * 4
).map(lambda parts: ".".join(map(str, parts)))


def words_of(private: str) -> list[str]:
    return [each for each in re.findall(r"[^\W_]+", private.casefold()) if len(each) >= 4 and each not in KNOWN]


def decoded(text: str) -> str:
    """With every way undone in which texts are written elsewhere."""
    hexadecimal = re.sub(r"((?:_[0-9a-f]{2})+)", lambda match: unquote(match[1].replace("_", "%")), text)
    unescaped = re.sub(r"\\u([0-9a-f]{4})", lambda match: chr(int(match[1], 16)), text)
    unquoted = unquote(text)
    return "\n".join((text, hexadecimal, unescaped, unquoted)).casefold()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), broker_reached=st.booleans())
def test_nothing_in_the_archive_names_anybody(tmp_path: Path, data: st.DataObject, broker_reached: bool) -> None:
    def some(strategy: st.SearchStrategy[str]) -> str:
        private.append(data.draw(strategy))
        return private[-1]

    private: list[str] = []
    people = [(some(dn), some(name), some(name), some(name)) for _ in range(data.draw(st.integers(0, 3)))]
    pbx_host, broker, client, company, light, group, profile = (
        some(each) for each in (host, host, ascii_word, ascii_word, word, ascii_word, name)
    )
    base = some(ascii_word)
    options = {
        "pbx": {"name": company, "url": f"https://{pbx_host}:5001", "client_id": client, "client_secret": "hush"},
        "mqtt": {"host": broker, "username": some(word), "base_topic": base, "port": 8883},
        "users": {"include": [some(number)]},
        "groups": {group: [each for each, *_ in people] or ["1234"]},
        "lights": [{"name": light, "driver": "wled", "topic": f"wled/{some(ascii_word)}", "group": group}],
        "presence": {"profiles": {profile: "away"}},
        "sources": {"users": {"filter": f"contains(FirstName,'{quoted(some(word))}')", "search": some(word)}},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(options, allow_unicode=True))
    path.chmod(0o600)
    retained = []
    for each, person, department, party in people:
        document = {"number": each, "name": person, "department": department, "monitor": {"Remark": some(word)}}
        document |= {"state": "ringing", "call": {"party": party, "name": party}}
        retained.append((f"{base}/users/{each}", json.dumps(document)))
        topic = f"homeassistant/device/3cx2mqtt_{company}/{object_id('user', each)}/config"
        retained.append((topic, json.dumps({"device": {"name": person}, "unknown": {some(word): 1}})))
    retained.append((f"{base}/{some(ascii_word)}", some(word)))
    url = f"https://{pbx_host.upper()}/x?$search={quote(some(name))}"
    findings = [
        f"FAIL  users: '{quoted(some(name))}' for {url}",
        f"warn  topics: {base}/users/{some(dn)!a}, {object_id('user', some(dn))}, by {some(name)!a} at {some(host)}",
    ]
    files = masked_files(load(path, {}), findings, {}, retained if broker_reached else [])
    everything = decoded("\n".join(content for file, content in files.items() if file != "about.txt"))
    shown = [each for text in private for each in words_of(text) if stands_in(each, everything)]
    assert shown == []


def quoted(text: str) -> str:
    return text.replace("'", "''")


def stands_in(each: str, everything: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(each)}(?![^\W_])", everything) is not None


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Ringing Users is on_call", "name-1 is on_call"),
        ("RINGING%20USERS, ringing_users and users", "name-1, name-1 and users"),
        ("3cx/users/101/state", "3cx/users/user-1/state"),
        ("1013 and 10.101", "number-x1 and 10.101"),
        ("call 030 12 34 56 7 or +49 (30) 1234567", "call number-x1 or +number-x2"),
        ("2026-11-22T10:00:00Z, 12 rows in 0.045 s", "2026-11-22T10:00:00Z, 12 rows in 0.045 s"),
        ("HTTP 403, [Errno 111] Connection refused", "HTTP 403, [Errno 111] Connection refused"),
        ("at 192.168.1.20, fe80::1:2 or 20.0.8.1109", "at address-x1, address-x2 or 20.0.8.1109"),
        ("Zo\\u00eb, Zo%C3%AB and Zo_c3_ab", "name-2, name-2 and name-2"),
        ("王小明さん", "word-x1"),
    ],
)
def test_names_are_labels_and_what_tells_something_stays(text: str, masked: str) -> None:
    private: Sequence[tuple[str, str]] = [("101", "user-1"), ("Ringing Users", "name-1"), ("Zoë", "name-2")]
    assert Masking(private, kept=["20.0.8.1109"]).text(text) == masked


def test_examples_in_the_program_are_no_vocabulary() -> None:
    assert not {"Ada", "Example", "Cem", "101"} & vocabulary()
