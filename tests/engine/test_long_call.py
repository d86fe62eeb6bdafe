"""Two context windows and more: a long call is as its first minute was, and takes no more memory."""

import tracemalloc
from collections.abc import Sequence

import numpy as np
import torch

from engine.models.config import TransformerConfig
from engine.models.transformer import Transformer
from engine.protocol import FRAME_BYTES, Audio, Report, SessionRequest
from engine.service.grace import Grace
from engine.service.metrics import Metrics
from engine.service.places import Places
from engine.service.seats import Seats
from engine.service.session import Session
from engine.service.sessions import ServedModel, Sessions
from engine.step.frames import FRAME_S, Frame, Sampling, StepResult
from engine.step.ready_queue import Join, ReadyQueue
from tests.engine.fake_clock import FakeClock
from tests.engine.fake_runner import FakeRunner

CONTEXT = 3000
WINDOWS_FRAMES = 2 * CONTEXT
TRACED_FROM_FRAME = 4000
SETTLED_FRAMES = 1000
"""By then all that is kept of the last minute is known to the tracing, which is slow."""
MOST_GROWTH_BYTES = 64 * 1024


class Engine:
    """All of an engine's sessions in virtual time, with a model that says back what it hears."""

    def __init__(self) -> None:
        self.clock = FakeClock(1.0)
        seats, self._queue, self._runner = Seats(2, self.clock), ReadyQueue(), FakeRunner()
        self.metrics = Metrics(seats, self.clock)
        model = ServedModel("fake", 1, Sampling(), piece=lambda _token: " word")
        places = Places(seats, self._queue, 0)
        self.sessions = Sessions(model, seats, places, self._queue, Grace(15.0), self.metrics, self.clock)

    def open(self) -> Session:
        session, _ready = self.sessions.open(SessionRequest())
        for join in self._taken():
            assert isinstance(join, Join)
            self._runner.join({join.slot.index: join.sampling})
        return session

    def frame(self, callers: dict[Session, bytes]) -> dict[Session, Audio]:
        """80 ms of everybody; what each hears."""
        self.clock.now += FRAME_S
        for session, pcm in callers.items():
            session.receive(pcm)
        frames = [item for item in self._taken() if isinstance(item, Frame)]
        out = self._runner.step(
            [frame.slot.index for frame in frames], np.stack([frame.pcm for frame in frames])
        )
        self._runner.batches.clear()
        self._runner.calls.clear()
        now = self.clock.now
        self.sessions.deliver(
            [StepResult(frame, out.pcm[row], 1, now, now + 0.01) for row, frame in enumerate(frames)]
        )
        return {session: self._hear(session) for session in callers}

    def _taken(self) -> Sequence[Join | Frame]:
        work = self._queue.take()
        assert isinstance(work, list)
        return work

    def _hear(self, session: Session) -> Audio:
        heard, result = session.events.get_nowait()
        assert isinstance(heard, Audio)
        assert result is not None
        self.metrics.answered(session.id, result)
        self.sessions.report(session, Report(heard.frame, 1000, 1000, 1000))
        session.events.get_nowait()  # its word
        assert session.events.empty()
        return heard


def test_two_windows_of_a_session_and_its_neighbour_go_by_and_memory_stays_flat() -> None:
    engine = Engine()
    long_one, neighbour = engine.open(), engine.open()
    settled_bytes = 0
    for number in range(WINDOWS_FRAMES + 100):
        mine, theirs = (bytes([number % 251, which]) * (FRAME_BYTES // 2) for which in (1, 2))
        heard = engine.frame({long_one: mine, neighbour: theirs})
        assert (heard[long_one].frame, heard[long_one].pcm) == (number, mine)
        assert (heard[neighbour].frame, heard[neighbour].pcm) == (number, theirs)
        if number == TRACED_FROM_FRAME:
            tracemalloc.start()
        elif number == TRACED_FROM_FRAME + SETTLED_FRAMES:
            settled_bytes = tracemalloc.get_traced_memory()[0]
    grown_bytes = tracemalloc.get_traced_memory()[0] - settled_bytes
    tracemalloc.stop()
    assert grown_bytes < MOST_GROWTH_BYTES


@torch.inference_mode()
def test_what_was_heard_over_a_window_ago_is_forgotten_and_all_else_is_not() -> None:
    """Beside a neighbour who has just come, for whom only the last window was ever there."""
    torch.manual_seed(0)
    config = TransformerConfig(dim=16, heads=2, layers=1, feedforward=32, context=CONTEXT)
    transformer = Transformer(config).eval()
    for weights in transformer.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    state = transformer.new_state(2, torch.device("cpu"), torch.float32)
    state.reset(torch.tensor([0, 1]))
    sound = torch.randn(WINDOWS_FRAMES + 100, 1, 1, 16)
    both, long_one = torch.tensor([0, 1]), torch.tensor([0])
    came_at = len(sound) - CONTEXT
    size = sum(tensor.numel() for tensor in state.tensors())
    for position, x in enumerate(sound):
        if position < came_at:
            transformer(x, state, long_one)
            continue
        y = transformer(x.expand(2, 1, 16), state, both)
        if came_at < position < came_at + 10:
            assert not torch.allclose(y[0], y[1], atol=1e-5), "the one has heard more than the other"
    torch.testing.assert_close(y[0], y[1], atol=1e-4, rtol=1e-4)
    assert sum(tensor.numel() for tensor in state.tensors()) == size
