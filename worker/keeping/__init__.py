"""What stays of a call when it is over: nothing, unless the settings say so."""
