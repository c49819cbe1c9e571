"""The MQTT side: connection, session, retained topics, requests."""
