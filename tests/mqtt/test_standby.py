"""When a bridge of a pair may take the client id, and how long it may believe that it holds it."""

import json

from bridge.mqtt.lease import Lease
from bridge.mqtt.standby.vacancy import Standing, Vacancy


def info(instance: str, **more: object) -> bytes:
    return json.dumps({"instance": instance, **more}).encode()


def watching(*, yields: float = 0.0) -> Vacancy:
    """The bridge `own` has subscribed at 100.0; `standby.after` is 3 s."""
    return Vacancy("own", 3.0, 100.0, yields=yields)


def occupied() -> Vacancy:
    found = watching()
    found.note_info(info("other"), 100.0, retained=True)
    found.note_state(b"online", 100.0)
    return found


def test_a_broker_that_retains_nothing_is_free_after_a_while() -> None:
    found = watching()
    assert found.standing(102.9) is Standing.VACANT
    assert found.standing(103.0) is Standing.FREE


def test_it_takes_longer_where_another_one_was_active_and_the_broker_has_forgotten_it() -> None:
    found = watching(yields=30.0)
    assert found.standing(132.9) is Standing.VACANT
    assert found.standing(133.0) is Standing.FREE
    found.note_info(info("other"), 101.0, retained=True)
    assert found.standing(104.0) is Standing.FREE


def test_an_offline_counts_from_when_it_came_and_not_from_its_repetition() -> None:
    found = occupied()
    assert found.standing(120.0) is Standing.OCCUPIED
    found.note_state(b"offline", 120.0)
    found.note_state(b"offline", 122.0)
    assert found.standing(122.9) is Standing.VACANT
    assert found.standing(123.0) is Standing.FREE


def test_an_online_without_health_is_believed_for_150_seconds() -> None:
    found = occupied()
    found.note_health(160.0)
    assert found.standing(309.9) is Standing.OCCUPIED
    assert found.standing(310.0) is Standing.VACANT
    assert found.standing(313.0) is Standing.FREE
    found.note_health(313.5)
    assert found.standing(313.5) is Standing.OCCUPIED


def test_what_this_bridge_has_left_itself_keeps_nobody_out() -> None:
    found = watching()
    found.note_info(info("own"), 100.0, retained=True)
    found.note_state(b"online", 100.0)
    assert found.standing(103.0) is Standing.FREE


def test_an_online_of_nobody_in_particular_is_that_of_another_one() -> None:
    found = watching()
    found.note_state(b"online", 100.0)
    assert found.standing(110.0) is Standing.OCCUPIED
    assert found.holder is None


def test_whoever_sees_a_claim_waits_60_seconds_for_its_online() -> None:
    found = occupied()
    found.note_state(b"offline", 120.0)
    found.note_info(info("third"), 121.0, retained=False)
    assert found.standing(180.9) is Standing.CLAIMED
    assert found.holder == "third"
    assert found.standing(181.0) is Standing.FREE
    found.note_state(b"online", 181.0)
    assert found.standing(181.0) is Standing.OCCUPIED


def test_a_document_that_is_repaired_while_its_bridge_is_online_is_no_claim() -> None:
    for written_over in (b"", info("nobody"), b"nonsense"):
        found = occupied()
        found.note_info(written_over, 120.0, retained=False)
        found.note_info(info("other"), 120.5, retained=False)
        found.note_health(160.0)
        assert found.standing(190.0) is Standing.OCCUPIED


def test_a_second_claim_of_the_same_bridge_is_one_too() -> None:
    found = occupied()
    found.note_state(b"offline", 120.0)
    found.note_info(info("other", claiming=True), 121.0, retained=False)
    assert found.standing(180.9) is Standing.CLAIMED


def test_the_wait_begins_with_the_answer_to_the_subscription() -> None:
    found = watching()
    found.subscribed(109.0)
    assert found.standing(111.9) is Standing.VACANT
    assert found.standing(112.0) is Standing.FREE


def test_a_lease_goes_by_the_keepalive_of_the_broker_and_begins_with_the_connection() -> None:
    now = 0.0
    lease = Lease(30.0, lambda: now)
    now = 20.0
    lease.begin()
    lease.shorten(None)
    now = 40.0
    held = [lease.holds]
    lease.shorten(10)
    held.append(lease.holds)
    lease.begin()
    now = 49.9
    assert [*held, lease.holds] == [True, False, True]


def test_a_claim_that_was_made_before_the_subscription_counts_too() -> None:
    found = watching()
    found.note_info(info("other", claiming=True), 100.1, retained=True)
    assert found.standing(160.0) is Standing.CLAIMED
    assert found.standing(160.1) is Standing.FREE


def test_new_content_of_the_same_instance_is_no_claim_but_starts_the_wait_again() -> None:
    found = watching()
    found.note_info(info("other"), 100.0, retained=True)
    found.note_info(info("other", more=1), 102.0, retained=False)
    assert found.standing(104.9) is Standing.VACANT
    assert found.standing(105.0) is Standing.FREE


def test_a_state_that_is_cleared_is_no_online() -> None:
    found = occupied()
    found.note_state(b"", 120.0)
    assert found.standing(123.0) is Standing.FREE


def test_a_lease_lasts_one_keepalive_from_the_last_look_before_something_was_read() -> None:
    now = 0.0
    lease = Lease(30.0, lambda: now)
    now = 10.0
    lease.look()
    now = 10.5
    lease.received()
    now = 39.9
    assert lease.holds
    now = 40.0
    assert not lease.holds


def test_what_waited_in_the_socket_while_the_process_stood_still_renews_nothing() -> None:
    now = 0.0
    lease = Lease(30.0, lambda: now)
    lease.look()
    now = 100.0
    lease.received()
    assert not lease.holds


def test_three_pings_are_due_in_a_keepalive() -> None:
    now = 0.0
    lease = Lease(30.0, lambda: now)
    sent = []
    for second in range(61):
        now = float(second)
        if lease.ping_due():
            sent.append(second)
    assert sent == [10, 20, 30, 40, 50, 60]
