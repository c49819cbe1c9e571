"""The broker: connection, retained topics, requests."""
