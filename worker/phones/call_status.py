"""What livekit-sip tells of a telephone: an attribute of its participant."""

CALL_STATUS = "sip.callStatus"
RINGS = ("dialing", "ringing", "automation")
"""Nobody has answered yet, or the keys are pressed that lead through somebody's menu."""
HUNG_UP = "hangup"
