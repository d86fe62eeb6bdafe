import numpy as np
import pytest
import torch

from engine.persona.prompt import Prompt
from engine.service.places import Places
from engine.service.prompt_cache import PromptCache
from engine.service.seats import Seats
from engine.state.snapshot import Snapshot
from engine.step.frames import Sampling
from engine.step.moves import HostCopy, Keep
from engine.step.prefix import Prefix
from engine.step.ready_queue import ReadyQueue


def prompt(name: str) -> Prompt:
    return Prompt((name, None), Prefix(np.zeros((17, 20), np.int64)))


def asked(cache: PromptCache, name: str) -> HostCopy | None:
    """What the second who asks is told, or whoever comes later."""
    return cache.ask(prompt(name)) or cache.ask(prompt(name))


def fill(cache: PromptCache, name: str, size: int = 100) -> HostCopy:
    copy = asked(cache, name)
    assert copy is not None
    copy.snapshot = Snapshot([torch.zeros(size, dtype=torch.uint8)])
    cache.filled(copy)
    return copy


def is_kept(cache: PromptCache, name: str) -> bool:
    copy = asked(cache, name)
    if copy is not None and copy.snapshot is None:
        cache.give_up(copy)
    return copy is not None and copy.snapshot is not None


def test_the_second_fills_what_the_others_begin_with() -> None:
    cache = PromptCache(1000)
    assert cache.ask(prompt("ann")) is None
    copy = cache.ask(prompt("ann"))
    assert copy is not None
    assert copy.snapshot is None
    copy.snapshot = Snapshot([torch.zeros(100, dtype=torch.uint8)])
    cache.filled(copy)
    assert cache.ask(prompt("ann")) is copy


def test_roles_that_are_one_callers_alone_push_nothing_out() -> None:
    cache = PromptCache(250)
    for name in ("ann", "bob"):
        fill(cache, name)
    for caller in range(50):
        assert cache.ask(prompt(f"you talk to caller {caller}")) is None
    assert [is_kept(cache, name) for name in ("ann", "bob")] == [True, True]


def test_who_asked_is_remembered_for_a_while_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.service.prompt_cache._REMEMBERED", 3)
    cache = PromptCache(1000)
    for name in ("ann", "bob", "carl", "dora"):
        assert cache.ask(prompt(name)) is None
    assert cache.ask(prompt("dora")) is not None
    assert cache.ask(prompt("ann")) is None


def test_who_comes_while_it_is_being_filled_runs_the_prompt() -> None:
    cache = PromptCache(1000)
    first = asked(cache, "ann")
    assert first is not None
    assert cache.ask(prompt("ann")) is None
    assert asked(cache, "bob") is not None
    cache.give_up(first)
    assert cache.ask(prompt("ann")) not in (None, first)


def test_what_was_given_up_is_not_kept_if_it_comes_after_all() -> None:
    cache = PromptCache(1000)
    copy = asked(cache, "ann")
    assert copy is not None
    cache.give_up(copy)
    cache.filled(copy)
    assert not is_kept(cache, "ann")


def test_those_used_last_stay() -> None:
    cache = PromptCache(250)
    for name in ("ann", "bob"):
        fill(cache, name)
    assert is_kept(cache, "ann")
    fill(cache, "eve")
    assert [is_kept(cache, name) for name in ("ann", "bob", "eve")] == [True, False, True]
    assert cache.nbytes == 200


def test_what_is_larger_than_all_the_room_is_not_kept() -> None:
    cache = PromptCache(250)
    fill(cache, "ann")
    fill(cache, "long", 300)
    assert [is_kept(cache, name) for name in ("ann", "long")] == [True, False]


def test_what_could_not_be_brought_back_is_run_again() -> None:
    cache = PromptCache(1000)
    cache.forget(fill(cache, "ann"))
    assert not is_kept(cache, "ann")


def test_without_room_every_session_runs_its_prompt() -> None:
    cache = PromptCache(0)
    assert [cache.ask(prompt("ann")) for _ in range(3)] == [None, None, None]


def test_what_is_kept_is_held_by_the_cache_alone() -> None:
    cache = PromptCache(1000)
    places = Places(Seats(2), ReadyQueue(), 0, cache)
    assert cache.ask(prompt("ann")) is None
    first = places.take("first", None, Sampling(), prompt("ann"))
    copy = first.prompt
    assert copy is not None
    assert first.slot is not None
    copy.snapshot = Snapshot([torch.zeros(100, dtype=torch.uint8)])
    places.kept(Keep(first.slot, copy), arrived=True)
    second = places.take("second", None, Sampling(), prompt("ann"))
    assert cache.ask(prompt("ann")) is copy
    assert (first.prompt, second.prompt) == (None, None)
