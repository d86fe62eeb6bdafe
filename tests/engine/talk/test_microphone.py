import asyncio

from engine.talk.microphone import Microphone


async def heard(microphone: Microphone, pieces: range) -> list[int]:
    """What is left of pieces that came on another thread."""

    def hear() -> None:
        for piece in pieces:
            microphone.hear(bytes([piece]))

    await asyncio.to_thread(hear)
    await asyncio.sleep(0)
    found = []
    while True:
        try:
            found.append((await asyncio.wait_for(microphone.next(), 0.05))[0])
        except TimeoutError:
            return found


async def test_pieces_of_another_thread_come_in_order() -> None:
    assert await heard(Microphone(), range(20)) == list(range(20))


async def test_after_a_stall_of_the_network_the_last_half_second_is_sent() -> None:
    assert await heard(Microphone(), range(100)) == list(range(75, 100))
