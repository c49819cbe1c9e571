"""What lives as long as the process: the wired bridge, the daemon around it, and its supervision."""
