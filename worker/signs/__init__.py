"""What apps can read and show of a call: words, states, numbers, and what is in the way."""
