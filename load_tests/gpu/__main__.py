"""What only a GPU can tell, in runs of under ten minutes: `python -m load_tests.gpu STAGE [--out DIR]`.

    kernels  every kernel against its plain twin, compiled; memory, products, attention and codec
    graphs   the 7B step: graphs against eager, isolation, batch sizes; capture; step times; profile
    ladder   open loop at full contexts: bf16 up to 40 sessions, 8 bits up to 80
    final    the numbers for the performance page, and the reference package at the same shapes

Needs torch, triton, numpy, safetensors, sentencepiece and pytest, no network and no checkpoint; `final` also
the reference package in `.reference`. What has been measured is printed and written to DIR/STAGE*.json as it
comes; a stage that takes too long is ended.
"""

import argparse
import os
import sys
from pathlib import Path
from threading import Timer

import torch

from load_tests.gpu import graphs, kernels, levels
from load_tests.gpu.notes import Notes

_CAP_S = 570
_STAGES = {
    "kernels": kernels.measure,
    "graphs": graphs.measure,
    "ladder": levels.ladder,
    "final": levels.final,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=_STAGES)
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), metavar="DIR")
    parser.add_argument("--checkpoint", default="random:moshi-7b", help="random:tiny tries the script out")
    parser.add_argument("--cap", type=int, default=_CAP_S, metavar="SECONDS")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options.out.mkdir(parents=True, exist_ok=True)

    def end() -> None:
        print(f"ended after {options.cap} s; what was measured is in {options.out}", flush=True)
        # No clean-up: what is running on the device would be waited for.
        os._exit(3)

    # A thread, for a signal would wait until the device has answered.
    watch = Timer(options.cap, end)
    watch.daemon = True
    watch.start()
    notes = Notes(options.out, options.stage, device)
    sys.exit(_STAGES[options.stage](notes, device, options.checkpoint))


if __name__ == "__main__":
    main()
