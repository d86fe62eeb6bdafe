"""Graphs where there is no GPU: a replay runs the work again."""

from engine.step.cuda_graph import Work


class PlainGraphs:
    """Counts what is asked of it; `capture` does not run the work, for empty rows need kernels."""

    def __init__(self) -> None:
        self.captured = 0
        self.replayed: list[int] = []
        self.waits = 0

    def capture(self, work: Work) -> Work:
        number = self.captured
        self.captured += 1

        def replay() -> None:
            self.replayed.append(number)
            work()

        return replay

    def wait(self) -> None:
        self.waits += 1
