"""3cx2mqtt: every 3CX user's state on retained MQTT topics."""

__version__ = "0.1.0"
