"""Two bridges with one configuration: which of them may hold the client id, and for how long it may believe so."""
