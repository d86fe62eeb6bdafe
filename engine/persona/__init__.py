"""Voices and roles (PersonaPlex, arXiv 2602.06053): what a session begins with before anybody speaks."""
