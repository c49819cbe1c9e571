"""Smart lights that follow users: the bridge sends each its own commands."""
