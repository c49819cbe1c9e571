"""Whether another distribution may have written over the bridge's files."""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import packages_distributions

_OWN = "3cx2mqtt"
_PACKAGE = "bridge"


def intruders(owners: Callable[[], Mapping[str, Sequence[str]]] = packages_distributions) -> str | None:
    """Names others that install a top-level package `bridge` too, and what to do; None where there are none.

    pip lets two distributions own one folder: the last one installed wins, file by file.
    """
    others = sorted(set(owners().get(_PACKAGE, ())) - {_OWN})
    if not others:
        return None
    return (
        f"{', '.join(others)} installs a package `{_PACKAGE}` too, and may have overwritten files of this one: install "
        f"{_OWN} into a virtual environment of its own (pipx install {_OWN})"
    )
