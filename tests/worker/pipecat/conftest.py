"""Finds Pipecat in `.pipecat/`, where `make setup` puts it."""

import importlib
import importlib.util
import os
import sys
import warnings
from pathlib import Path

PIPECAT = Path(__file__).resolve().parents[3] / ".pipecat"

if PIPECAT.is_dir():
    sys.path.append(str(PIPECAT))
if importlib.util.find_spec("pipecat") is not None:
    with warnings.catch_warnings():
        # It imports audioop, which Python warns of from 3.11 on.
        warnings.simplefilter("ignore")
        importlib.import_module("pipecat.audio.utils")
elif not os.environ.get("CI"):
    collect_ignore_glob = ["test_*.py"]
