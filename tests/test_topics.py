import json
import re

from hypothesis import given
from hypothesis import strategies as st

from bridge.topics import Topics, object_id, to_json

TOPICS = Topics("site/3cx", "hq", "homeassistant")


def test_the_topics_are_those_of_the_contract() -> None:
    assert TOPICS.bridge_state == "site/3cx/bridge/state"
    assert TOPICS.bridge_pbx == "site/3cx/bridge/pbx"
    assert TOPICS.user("101") == "site/3cx/users/101"
    assert TOPICS.user_state("101") == "site/3cx/users/101/state"
    assert TOPICS.user_monitor("101") == "site/3cx/users/101/monitor"
    assert TOPICS.discovery("user_101") == "homeassistant/device/3cx2mqtt_hq/user_101/config"


def test_only_a_user_s_own_topic_is_its_document() -> None:
    assert TOPICS.document_of("site/3cx/users/101") == "101"
    assert TOPICS.document_of("site/3cx/users/101/state") is None
    assert TOPICS.document_of("site/3cx/bridge/users") is None
    assert TOPICS.document_of("other/users/101") is None


def test_object_ids_escape_other_bytes_in_hex() -> None:
    assert object_id("user", "101") == "user_101"
    assert object_id("user", "a_b") == "user_a_5fb"
    assert object_id("user", "Zoë 1") == "user_Zo_c3_ab_201"


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_object_ids_are_accepted_by_home_assistant_and_unique(one: str, other: str) -> None:
    assert re.fullmatch(r"user_[A-Za-z0-9_-]*", object_id("user", one))
    assert (object_id("user", one) == object_id("user", other)) is (one == other)


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(), st.text())))
def test_json_reads_back_as_it_was(value: dict[str, object]) -> None:
    assert json.loads(to_json(value)) == value
