"""One module per make of lights; none imports another."""
