"""The configuration: one YAML file, secrets beside it, overrides from the environment; every mistake at once."""

from bridge.config.load import Config, load, pbx_name

__all__ = ["Config", "load", "pbx_name"]
