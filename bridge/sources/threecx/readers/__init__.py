"""The sources themselves, a module for each; they do not know each other. `bridge.sources.table` lists them."""
