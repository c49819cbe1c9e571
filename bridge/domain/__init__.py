"""Frozen values and pure rules: no I/O, no event loop, no library names."""
