"""The command `init`: asks for PBX and broker, tries each answer at once, and writes the configuration."""

from bridge.commands.init.command import add_arguments, main

__all__ = ["add_arguments", "main"]
