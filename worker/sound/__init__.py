"""Sound in and out of a room, in frames of 80 ms."""
