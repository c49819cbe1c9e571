"""The agent of `3cx2mqtt usb-light`: USB busy lights at this PC that follow one user, straight from the broker."""
