from threading import Thread

import numpy as np

from engine.step.frames import Frame, Sampling, SlotRef
from engine.step.prefix import Prefix
from engine.step.ready_queue import Join, Prefill, ReadyQueue

SILENCE = np.zeros(1920, np.int16)
LONG = Prefix(np.zeros((17, 600), np.int64))


def frame(slot: int, number: int) -> Frame:
    return Frame(SlotRef(slot, 1), number, SILENCE, complete_at=0.0)


def taken(queue: ReadyQueue) -> list[tuple[int, int]]:
    work = queue.take()
    assert isinstance(work, list)
    return [(item.slot.index, item.number) for item in work if isinstance(item, Frame)]


def test_all_that_is_ready_goes_into_one_step_oldest_first() -> None:
    queue = ReadyQueue()
    for slot in (2, 0, 1):
        queue.put(frame(slot, 0))
    assert taken(queue) == [(2, 0), (0, 0), (1, 0)]


def test_a_session_that_is_behind_has_one_frame_a_step_and_keeps_its_order() -> None:
    queue = ReadyQueue()
    for item in (frame(0, 0), frame(0, 1), frame(1, 0), frame(0, 2)):
        queue.put(item)
    assert [taken(queue) for _ in range(3)] == [[(0, 0), (1, 0)], [(0, 1)], [(0, 2)]]


def test_a_join_goes_before_every_frame() -> None:
    queue = ReadyQueue()
    queue.put(frame(0, 5))
    join = Join(SlotRef(1, 1), Sampling())
    queue.join(join)
    queue.put(frame(1, 0))
    assert queue.take() == [join]
    assert taken(queue) == [(0, 5), (1, 0)]


def test_whoever_opens_sessions_all_the_time_leaves_every_other_step_to_the_frames() -> None:
    queue = ReadyQueue()
    queue.put(frame(0, 0))
    first, second = Join(SlotRef(1, 1), Sampling()), Join(SlotRef(1, 3), Sampling())
    queue.join(first)
    assert queue.take() == [first]
    queue.join(second)
    queue.put(Frame(SlotRef(1, 3), 0, SILENCE, complete_at=0.0))
    assert taken(queue) == [(0, 0)]
    assert queue.take() == [second]
    assert taken(queue) == [(1, 0)]


def test_a_frame_never_goes_before_its_sessions_join() -> None:
    queue = ReadyQueue()
    join = Join(SlotRef(0, 1), Sampling())
    queue.join(Join(SlotRef(1, 1), Sampling()))
    queue.take()
    queue.join(join)
    queue.put(frame(0, 0))
    assert queue.take() == [join]
    assert taken(queue) == [(0, 0)]


def test_nothing_of_a_session_that_left_is_stepped() -> None:
    queue = ReadyQueue()
    queue.join(Join(SlotRef(0, 1), Sampling()))
    queue.put(frame(0, 0))
    queue.put(frame(1, 0))
    queue.leave(SlotRef(0, 1))
    assert taken(queue) == [(1, 0)]


def test_take_waits_for_work_and_ends_when_the_queue_closes() -> None:
    queue = ReadyQueue()
    results: list[object] = []
    thread = Thread(target=lambda: results.extend([queue.take(), queue.take()]))
    thread.start()
    waiting = frame(3, 0)
    queue.put(waiting)
    queue.close()
    thread.join(5)
    assert results in ([[waiting], None], [None, None])


def test_a_prefix_is_run_in_parts_with_steps_of_others_in_between() -> None:
    queue = ReadyQueue()
    join = Join(SlotRef(1, 1), Sampling(), LONG)
    queue.join(join)
    queue.put(frame(1, 0))
    for number in range(2):
        queue.put(frame(0, number))
    parts = []
    for number in range(2):
        parts.append(queue.take())
        assert taken(queue) == [(0, number)]
    parts.append(queue.take())
    assert parts == [
        Prefill(join, range(0, 256)),
        Prefill(join, range(256, 512)),
        Prefill(join, range(512, 600)),
    ]
    assert taken(queue) == [(1, 0)]


def test_a_slow_device_runs_less_of_a_prefix_at_once() -> None:
    queue = ReadyQueue(positions=400)
    queue.join(Join(SlotRef(1, 1), Sampling(), LONG))
    works = [queue.take() for _ in range(2)]
    assert [work.positions for work in works if isinstance(work, Prefill)] == [range(0, 400), range(400, 600)]


def test_of_many_who_join_a_few_at_a_time_do_with_frames_of_others_in_between() -> None:
    queue = ReadyQueue()
    for slot in range(1, 21):
        queue.join(Join(SlotRef(slot, 1), Sampling()))
    for number in range(3):
        queue.put(frame(0, number))
    works = [queue.take() for _ in range(6)]
    slots = [[item.slot.index for item in work] for work in works if isinstance(work, list)]
    assert slots == [list(range(1, 9)), [0], list(range(9, 17)), [0], list(range(17, 21)), [0]]


def test_a_session_that_leaves_takes_the_rest_of_its_prefix_along() -> None:
    queue = ReadyQueue()
    queue.join(Join(SlotRef(1, 1), Sampling(), LONG))
    assert isinstance(queue.take(), Prefill)
    queue.leave(SlotRef(1, 1))
    queue.put(frame(0, 0))
    assert taken(queue) == [(0, 0)]


def test_who_joins_without_a_prefix_does_not_wait_for_those_with_one() -> None:
    queue = ReadyQueue()
    queue.join(Join(SlotRef(1, 1), Sampling(), LONG))
    quick = Join(SlotRef(2, 1), Sampling())
    queue.join(quick)
    assert queue.take() == [quick]
    assert isinstance(queue.take(), Prefill)
