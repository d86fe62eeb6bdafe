"""The other side of a call: somebody in a room who speaks a recording."""
