"""What many callers would meet, in virtual time: the scheduler of one engine, and a fleet of engines."""
