"""A simulated 3CX V20: token endpoint, Call Control, and the parts of XAPI that the bridge reads."""

from bridge.simulator.pbx import SimulatedPbx
from bridge.simulator.people import SimulatedUser
from bridge.simulator.state import Rows

__all__ = ["Rows", "SimulatedPbx", "SimulatedUser"]
