"""The 3CX phone system, read over HTTP."""
