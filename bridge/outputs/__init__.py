"""What changes are turned into."""
