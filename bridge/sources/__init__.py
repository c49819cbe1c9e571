"""Where presence comes from."""
