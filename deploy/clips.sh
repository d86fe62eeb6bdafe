#!/usr/bin/env bash
# What callers are told aloud where the model cannot: needs the espeak-ng program (Debian package espeak-ng).
set -euo pipefail
cd "$(dirname "$0")/../worker/sound/recordings"

say() { espeak-ng -v en-us+f3 -s 150 -a 60 -w "$1.wav" "$2"; }

say one-moment "One moment, please."
say anew "This is a new conversation."
say goodbye "I am sorry, this call has to end here. Please call again."
say disclosure "Hello. You are talking to a machine. What it says may be wrong."
say recorded "This call is recorded."
