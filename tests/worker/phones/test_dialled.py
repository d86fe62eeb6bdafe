from worker.phones.dialled import HOUR_S, Dialled


def test_as_many_as_may_be_within_an_hour_and_then_one_for_each_that_is_forgotten() -> None:
    dialled = Dialled()
    for second in (0.0, 60.0):
        assert dialled.wait_s(second, 2) == 0
        dialled = dialled.with_one(second)
    assert dialled.wait_s(100.0, 2) == HOUR_S - 100
    assert dialled.wait_s(HOUR_S + 1, 2) == 0
    dialled = dialled.with_one(HOUR_S + 1)
    assert dialled.at == (60.0, HOUR_S + 1), "what is old is not kept"
    assert dialled.wait_s(HOUR_S + 2, 2) == 58


def test_none_means_none() -> None:
    assert Dialled().wait_s(0, 0) > 0


def test_the_recent_ones_are_those_of_the_last_hour() -> None:
    assert Dialled((0.0, 1.0, HOUR_S, 9e9)).recent(HOUR_S) == (1.0, HOUR_S)


def test_a_clock_that_was_set_back_locks_nobody_out() -> None:
    assert Dialled((9e9,)).wait_s(1000, 1) == 0


def test_it_is_kept_as_metadata_and_what_others_keep_there_is_nothing() -> None:
    dialled = Dialled((1.5, 2.0))
    assert Dialled.read(dialled.written()) == dialled
    for text in ("", "{}", "[]", "null", "tariff 7", '{"dialled": 3}', '{"dialled": ["x"]}'):
        assert Dialled.read(text) == Dialled()
