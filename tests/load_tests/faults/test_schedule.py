"""What goes wrong when, and for whom."""

import pytest

from engine.errors import SettingError
from load_tests.faults.kinds import KINDS, Hits, named
from load_tests.faults.schedule import in_order, shuffled

CALLERS = 3


def test_a_soak_does_every_fault_once_before_any_for_the_second_time() -> None:
    slots = shuffled(KINDS, CALLERS, 20.0 * 2 * len(KINDS), 20.0, seed=1)
    first, second = slots[: len(KINDS)], slots[len(KINDS) :]
    assert {slot.kind for slot in first} == {slot.kind for slot in second} == set(KINDS)
    assert [slot.kind for slot in first] != [slot.kind for slot in second]
    assert [slot.at_s for slot in slots] == [20.0 * number for number in range(2 * len(KINDS))]


def test_the_same_seed_makes_the_same_soak_and_another_one_another() -> None:
    plans = [shuffled(KINDS, CALLERS, 600, 20, seed) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]


def test_what_hits_one_caller_has_a_victim_and_over_time_everybody_is_one() -> None:
    slots = shuffled(KINDS, CALLERS, 1800, 20, seed=0)
    assert {slot.victim for slot in slots if slot.kind.hits is Hits.ONE} == set(range(CALLERS))
    assert {slot.victim for slot in slots if slot.kind.hits is not Hits.ONE} == {None}


def test_faults_come_one_kind_after_the_other() -> None:
    slots = in_order(KINDS, CALLERS, times=2, every_s=25, seed=0)
    assert [slot.kind for slot in slots] == [kind for kind in KINDS for _ in range(2)]


def test_a_fault_that_nobody_knows_is_an_error_that_names_those_there_are() -> None:
    assert [kind.short for kind in named("job, engine")] == ["job", "engine"]
    with pytest.raises(SettingError, match=r"--only 'fire' is no fault: give some of nothing, .*livekit"):
        named("job,fire")
