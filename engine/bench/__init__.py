"""The instrument behind `python -m engine bench`: a ladder of sessions beside the floor that memory sets."""
