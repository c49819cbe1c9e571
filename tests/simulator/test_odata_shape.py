from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.entities import QUEUE
from bridge.simulator.odata_shape import shape
from bridge.simulator.odata_types import QueryError

PARTS = st.sampled_from(["Agents", "Managers", "Number", "(", ")", ",", ";", "$select=", "$expand=", "*", " "])


@given(st.lists(PARTS).map("".join), st.text() | st.lists(PARTS).map("".join))
def test_any_select_and_expand_are_a_shape_or_refused(select: str, expand: str) -> None:
    try:
        found = shape(QUEUE, select, expand)
    except QueryError:
        return
    assert isinstance(found.show({"Id": 1, "Number": "8000", "Agents": [{"Number": "100"}]}), dict)
