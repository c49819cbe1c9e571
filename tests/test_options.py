from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from voluptuous import Invalid

from bridge.options import Duration, Integer
from bridge.topics import topic_problem

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}


@given(st.integers(0, 10_000), st.sampled_from(sorted(UNITS)), st.sampled_from(["", " "]))
def test_a_duration_is_a_number_and_a_unit(number: int, unit: str, blank: str) -> None:
    assert Duration(0, 1e9)(f"{number}{blank if unit else ''}{unit}") == pytest.approx(number * UNITS[unit])


@pytest.mark.parametrize("value", ["", "s", "5x", "1h30m", "-5s", "5 s s", "1e5", "٣s", "∞", "0x5", "nan"])
def test_anything_else_is_not_a_duration(value: str) -> None:
    with pytest.raises(Invalid):
        Duration(0, 1e9)(value)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none()))
def test_numbers_are_within_their_limits_or_refused(value: object) -> None:
    for option, low, high in ((Duration(1, 5), 1, 5), (Integer(1, 5), 1, 5)):
        with suppress(Invalid):
            assert low <= option(value) <= high


@pytest.mark.parametrize("topic", ["3cx", "site/3cx", "a b/c", "Büro/3cx"])
def test_topics_that_can_be_published_to(topic: str) -> None:
    assert topic_problem(topic) is None


@pytest.mark.parametrize("topic", ["a/#", "+", "a\0", "a\x7f", "$SYS/x", "/a", "a/", "a//b", "x" * 201])
def test_topics_that_brokers_refuse(topic: str) -> None:
    assert topic_problem(topic) is not None
