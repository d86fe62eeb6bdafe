"""Callers in a browser: Chromium with livekit-client, as apps on the web are."""
