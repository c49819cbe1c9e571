"""One module per make of lights; none of them knows another."""
