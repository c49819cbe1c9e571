"""The bridge by HTTP: metrics for Prometheus, and whether it lives and is ready. Reads only, and asks for no login."""
