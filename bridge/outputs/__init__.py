"""Outputs: each renders changes of users, groups and the bridge as MQTT messages."""
