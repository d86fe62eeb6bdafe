from load_tests.sockets import measure


async def test_every_frame_of_every_socket_is_answered_and_the_hosts_share_is_told() -> None:
    cost = await measure(sessions=3, seconds=0.5, chunk_ms=20.0, step_ms=1.0)
    assert cost.frames_sent == cost.frames_answered > 0
    assert 0 < cost.core_share < 2
    assert 0 < cost.answer_p50_ms <= cost.answer_p99_ms
    assert cost.wake_up_p50_ms <= cost.wake_up_p99_ms <= cost.wake_up_max_ms
    assert str(cost).startswith("3 sessions in chunks of 20 ms")
