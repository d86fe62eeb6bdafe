"""Telephones: numbers in and out through livekit-sip, and what is special about who calls from one."""
