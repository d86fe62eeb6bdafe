"""Models in a program of your own, without a server. Used from one thread alone."""
