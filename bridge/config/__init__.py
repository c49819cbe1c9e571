"""The configuration: a YAML file, secrets, overrides from the environment; all mistakes are reported at once."""

from bridge.config.config import Config
from bridge.config.load import load, pbx_name

__all__ = ["Config", "load", "pbx_name"]
