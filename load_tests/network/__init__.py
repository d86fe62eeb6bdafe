"""Callers behind a bad network: their processes run in a network namespace whose only cable is ours.

`behind` is the way in: `with behind(Profile.load("lte"), url) as place:`, then start processes with
`place.command(...)` and let them connect to `place.url`.
"""
