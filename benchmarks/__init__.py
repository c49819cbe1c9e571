"""Measurements of the bridge against a real Mosquitto; `python -m benchmarks` runs them all."""
