"""Another distribution with a package `bridge` is noticed."""

from bridge.runtime.installation import intruders


def test_another_owner_of_the_package_is_named() -> None:
    told = intruders(lambda: {"bridge": ["3cx2mqtt", "toll-bridge"]})
    assert told is not None
    assert told.startswith("toll-bridge installs a package `bridge` too")


def test_alone_there_is_nothing_to_tell() -> None:
    assert intruders(lambda: {"bridge": ["3cx2mqtt"], "yaml": ["pyyaml"]}) is None
    assert intruders(dict) is None


def test_this_environment_has_no_other() -> None:
    assert intruders() is None
