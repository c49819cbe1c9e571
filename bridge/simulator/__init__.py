"""A simulated 3CX V20: the token endpoint and the parts of XAPI that the bridge reads, with a real PBX's manners."""

from bridge.simulator.pbx import Rows, SimulatedPbx
from bridge.simulator.people import SimulatedUser

__all__ = ["Rows", "SimulatedPbx", "SimulatedUser"]
