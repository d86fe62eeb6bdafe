"""Where sessions are: in a seat and a slot of the device. Whoever is away gives up the seat, and keeps the
slot until somebody needs it; then the session waits in host memory.
"""

from engine.persona.prompt import Prompt
from engine.service.prompt_cache import PromptCache
from engine.service.seats import Seats
from engine.step.frames import Sampling, SlotRef
from engine.step.moves import Copy, HostCopy, Keep, Lift, Move, Recall, Restore
from engine.step.ready_queue import Join, ReadyQueue
from engine.step.slots import SlotPool


class Place:
    """One session's. `slot` is None while its state is in host memory, as `copy`, or on the way there.
    `prompt`: what it is to leave in host memory for others who begin as it does.
    """

    def __init__(self, session: str, slot: SlotRef) -> None:
        self.session = session
        self.slot: SlotRef | None = slot
        self.copy: HostCopy | None = None
        self.prompt: HostCopy | None = None
        self.left: SlotRef | None = None
        self.away = False
        self.seated = True


class Places:
    """Those of all sessions. Used from the event loop alone, so every method is atomic.

    most_held: of how many sessions whose callers are away the seat is given to others; prompts: what theirs
    leave behind.
    """

    def __init__(
        self, seats: Seats, queue: ReadyQueue, most_held: int, prompts: PromptCache | None = None
    ) -> None:
        self._seats = seats
        self._queue = queue
        self._most_held = most_held
        self._prompts = prompts or PromptCache(0)
        self._slots = SlotPool(seats.total)
        self._holders: dict[SlotRef, Place] = {}
        self._away: list[Place] = []

    @property
    def held_in_slots(self) -> int:
        """How many sessions whose callers are away are still in their slots."""
        return sum(place.slot is not None for place in self._away)

    @property
    def held_in_host_memory(self) -> int:
        """How many others there are."""
        return len(self._away) - self.held_in_slots

    def is_promised(self, seat: str | None) -> bool:
        """Whether a seat is kept under this id."""
        return self._seats.holds(seat)

    def holder(self, slot: SlotRef) -> str | None:
        """The session that is in a slot; None if it has left."""
        place = self._holders.get(slot)
        return place.session if place else None

    def take(self, session: str, seat: str | None, sampling: Sampling, prompt: Prompt | None = None) -> Place:
        """A seat and a slot for a new session, which begins with `prompt`. Raises EngineFull."""
        place, slot = self._enter(session, seat)
        if prompt is None:
            self._queue.join(Join(slot, sampling))
        else:
            copy = self._prompts.ask(prompt)
            if copy is not None and copy.snapshot is None:
                place.prompt = copy
            self._queue.join(Join(slot, sampling, prompt.prefix, copy))
        return place

    def arrive(self, session: str, seat: str, copy: HostCopy) -> Place:
        """A seat and a slot for a session of another engine. Raises EngineFull."""
        place, slot = self._enter(session, seat)
        self._queue.move(Restore(slot, copy))
        return place

    def copy(self, place: Place) -> HostCopy | Copy:
        """Its state where it is in host memory, else the move that copies it out of its slot."""
        if place.slot is None:
            assert place.copy is not None, "a session is in a slot or in host memory"
            return place.copy
        copy = Copy(place.slot, HostCopy())
        self._queue.move(copy)
        return copy

    def step_aside(self, place: Place) -> None:
        """The caller is away: the seat is free, if the session can be held without it.

        What it has said is still answered, from the slot that it may be about to leave.
        """
        if not place.away:
            place.away = True
            self._away.append(place)
            self._share_out()

    def come_back(self, place: Place, seat: str | None) -> None:
        """The caller is there again: the session gets a seat, and a slot if it has lost its own.

        Raises EngineFull: then it is away as before.
        """
        if not place.away:
            if seat is not None:
                self._seats.release(seat)
            return
        if not place.seated:
            self._seats.enter(seat)
        elif seat is not None:
            self._seats.release(seat)
        place.away, place.seated = False, True
        self._away.remove(place)
        self._share_out()
        if place.copy is not None:
            place.slot = self._free_slot()
            self._holders[place.slot] = place
            self._queue.move(Restore(place.slot, place.copy))
            place.copy = None

    def leave(self, place: Place) -> None:
        """The session is over."""
        if place.prompt is not None:
            self._prompts.give_up(place.prompt)
        if place.left is not None:
            self._holders.pop(place.left, None)
            self._queue.leave(place.left)
        if place.slot is not None:
            del self._holders[place.slot]
            self._queue.leave(place.slot)
            self._slots.free(place.slot)
        if place.away:
            self._away.remove(place)
        if place.seated:
            self._seats.leave()
        self._share_out()

    def silence(self, place: Place) -> None:
        """Nobody would hear an answer to what waits."""
        for slot in (place.slot, place.left):
            if slot is not None:
                self._queue.forget_frames(slot)

    def moved(self, move: Move) -> str | None:
        """A move is over: whose it was; None if that session has ended since."""
        place = self._holders.get(move.slot)
        if place is not None and isinstance(move, Lift):
            del self._holders[move.slot]
            if place.left == move.slot:
                place.left = None
        return place.session if place else None

    def kept(self, move: Keep, arrived: bool) -> None:
        """A session has left its prompt in host memory, or could not."""
        place = self._holders.get(move.slot)
        if place is not None and place.prompt is move.copy:
            # What is kept is the cache's alone: it bounds what all of them take.
            place.prompt = None
        if arrived:
            self._prompts.filled(move.copy)
        else:
            self._prompts.give_up(move.copy)

    def not_recalled(self, move: Recall) -> None:
        """A session could not begin with what was kept: the next one runs its prompt."""
        self._prompts.forget(move.copy)

    def _enter(self, session: str, seat: str | None) -> tuple[Place, SlotRef]:
        self._seats.enter(seat)
        slot = self._free_slot()
        place = self._holders[slot] = Place(session, slot)
        return place, slot

    def _share_out(self) -> None:
        """Those who are away give their seats up, the oldest first, as many as may."""
        held = sum(not place.seated for place in self._away)
        for place in self._away:
            if place.seated and held < self._most_held:
                place.seated = False
                self._seats.leave()
                held += 1

    def _free_slot(self) -> SlotRef:
        """A slot for somebody who has a seat: there is one, or somebody without a seat who is in one."""
        if not self._slots.free_slots:
            self._lift(next(place for place in self._away if place.slot and not place.seated))
        return self._slots.take()

    def _lift(self, place: Place) -> None:
        assert place.slot is not None, "only who is in a slot can leave it"
        place.copy, place.left = HostCopy(), place.slot
        self._queue.move(Lift(place.slot, place.copy))
        self._slots.free(place.slot)
        place.slot = None
