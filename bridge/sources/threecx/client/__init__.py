"""The HTTP client of a 3CX phone system: token, XAPI and Call Control."""
