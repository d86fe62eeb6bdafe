"""Work that is recorded once and replayed with a single launch. Nothing else knows of CUDA graphs."""

from collections.abc import Callable

import torch

Work = Callable[[], None]

_WARM_UPS = 2


class CudaGraphs:
    """Graphs of one device that share their memory: no two of them run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        # A thread that waits for it sleeps, and leaves its core to the sockets.
        self._done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]

    def capture(self, work: Work) -> Work:
        """`work` as one launch. It must always do the same on the same memory, and is run here a few times.

        Capture the largest first: the smaller find room in its memory.
        """
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            # Compiles kernels and makes workspaces, neither of which may happen in a capture.
            for _ in range(_WARM_UPS):
                work()
        self._stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other threads may do with the device what they like.
        with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
            work()
        return graph.replay

    def wait(self) -> None:
        """Until the device has done what this thread has asked for."""
        self._done.record()
        self._done.synchronize()
