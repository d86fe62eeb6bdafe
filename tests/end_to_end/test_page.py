"""The web page in a real browser, with a voice for a microphone, against the whole product."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from livekit import api, rtc
from playwright.async_api import Browser, Route, expect
from yarl import URL

from tests.end_to_end.browser import ELSEWHERE, Visit, chromium, visit
from tests.end_to_end.conftest import StartWorker
from tests.end_to_end.line import Line
from tests.end_to_end.processes import free_port
from worker.caller.lag import find_echo
from worker.conversation.sentences import UNHEARD
from worker.room.people import HANG_UP_TOPIC
from worker.settings import LiveKitSettings

AGENT = "paged"
RATE = 24_000
WORDS = "I hear you"
# A machine that does much else at the same time.
SOON_MS = 60_000
TAKES = 3

# How many points of the score have the colour of that name, above its line and below it.
INK = """
(name) => {
  const canvas = document.getElementById("score");
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colour = getComputedStyle(canvas).getPropertyValue(name).trim().slice(1);
  const wanted = colour.match(/../g).map((part) => parseInt(part, 16));
  const counts = [0, 0];
  for (let at = 0; at < data.length; at += 4) {
    const near = wanted.every((part, index) => Math.abs(part - data[at + index]) < 24);
    if (near && data[at + 3] > 128) counts[at / 4 < width * height * 0.42 ? 0 : 1] += 1;
  }
  return counts;
}
"""

# Only a relay would do, and there is none.
FIREWALL = """
() => {
  const relayed = (settings) => ({ ...settings, iceTransportPolicy: "relay" });
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(settings) { super(relayed(settings)); }
    setConfiguration(settings) { super.setConfiguration(relayed(settings)); }
  };
}
"""

# The browser's own rule cannot be had here: whatever Playwright asks a page counts as a touch.
SILENT_UNTIL_TOUCHED = """
let touched = false;
addEventListener("click", () => (touched = true), { capture: true });
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  return touched ? play.call(this) : Promise.reject(new DOMException("touch the page", "NotAllowedError"));
};
"""

NO_MICROPHONE = """
(name) => {
  const refused = name === "TypeError" ? new TypeError("no") : new DOMException("no", name);
  navigator.mediaDevices.getUserMedia = () => Promise.reject(refused);
}
"""

# The device of each microphone that the page has been given.
NOTE_MICROPHONES = """
globalThis.microphones = [];
const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wish) => {
  const stream = await given(wish);
  microphones.push(stream.getAudioTracks()[0].getSettings().deviceId);
  return stream;
};
"""

EARBUDS = """
() => {
  const earbuds = { kind: "audiooutput", label: "Somebody's AirPods", deviceId: "a", groupId: "g" };
  navigator.mediaDevices.enumerateDevices = () => Promise.resolve([earbuds]);
}
"""

pytestmark = pytest.mark.timeout(300)
expect.set_options(timeout=SOON_MS)


@pytest.fixture(scope="module")
def page_url(start_worker: StartWorker) -> Iterator[str]:
    """The page of a worker whose engine has one seat."""
    port = free_port()
    settings = {
        "WORKER_WEB_PORT": str(port),
        "ENGINE_CHECKPOINT": "parrot",
        "ENGINE_SLOTS": "1",
        "ENGINE_PORT": "0",
        "ENGINE_ALLOW_SLOWER_THAN_REAL_TIME": "1",
    }
    with start_worker("start", AGENT, **settings):
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
async def browser(voice: Path) -> AsyncIterator[Browser]:
    async with chromium(voice) as browser:
        yield browser


async def answered(here: Visit) -> None:
    """Wait until the model is there, and was heard to be."""
    await expect(here.button("End")).to_be_visible(timeout=SOON_MS)
    await expect(here.transcript).to_contain_text(WORDS, timeout=SOON_MS)


async def said_in_time(here: Visit, sentence: str) -> None:
    """Let the page's time pass until it says that the call is over, and why."""
    alert = here.page.get_by_role("alert")
    async with asyncio.timeout(60):
        while not await alert.is_visible():
            await here.page.clock.fast_forward(1_000)
            await asyncio.sleep(0.1)
    await expect(alert).to_contain_text(sentence)
    await expect(here.button("Call")).to_be_visible()


async def test_a_caller_hears_themselves_reads_the_words_and_sees_how_long_answers_take(
    browser: Browser, page_url: str
) -> None:
    async with visit(browser, page_url) as here:
        await here.button("Settings").click()
        await here.page.get_by_label("I wear headphones").check()
        await here.page.get_by_label("Seed").fill("7")
        await here.page.keyboard.press("Escape")
        await here.button("Call").click()
        await answered(here)

        asked, _given = here.calls[0]
        assert asked == {"seed": 7}
        await expect(here.transcript.get_by_role("listitem").first).to_contain_text("Parrot")
        # For those who cannot see it: whole sentences, and who said them.
        await expect(here.page.locator("#said")).to_contain_text(f"Parrot: {WORDS}", timeout=SOON_MS)
        await expect(here.state).to_have_text("Speaking", timeout=SOON_MS)

        for _take in range(TAKES):
            said, heard = await here.record(13, RATE)
            echo = find_echo(said[: 5 * RATE], heard)
            if echo.correlation > 0.7:
                break
        assert echo.correlation > 0.7

        strip = here.page.get_by_role("region", name="Answer time of this call")
        for quantile in ("p50", "p95", "p99"):
            await expect(strip.locator(f"[data-quantile={quantile}]")).to_have_text(
                re.compile(r"^\d+ ms$"), timeout=SOON_MS
            )
        await expect(strip).to_contain_text("network")
        await expect(here.page.get_by_text("talking to a machine")).to_be_visible()
        await expect(here.page.get_by_label("Type to it")).to_be_hidden()

        await here.button("End").click()
        await expect(here.state).to_have_text("Call ended")
        await expect(here.transcript).to_contain_text(WORDS)
        await expect(here.button("Call")).to_be_visible()


async def test_both_voices_are_drawn(browser: Browser, page_url: str) -> None:
    async with visit(browser, page_url) as here:
        await here.button("Call").click()
        await answered(here)
        you = model = (0, 0)
        for _attempt in range(50):
            you, model = [await here.page.evaluate(INK, name) for name in ("--you", "--model")]
            if you[0] > 500 and model[1] > 500:
                break
            await here.page.wait_for_timeout(200)
        assert you[0] > 500
        assert model[1] > 500
        assert you[1] == model[0] == 0, "the caller is drawn above the line, the model below it"


async def agent_in(livekit: LiveKitSettings, room: str) -> api.ParticipantInfo:
    """The agent in a room. No other one gets its `sid`."""
    secret = livekit.livekit_api_secret.get_secret_value()
    async with api.LiveKitAPI(livekit.livekit_url, livekit.livekit_api_key, secret) as server:
        people = (await server.room.list_participants(api.ListParticipantsRequest(room=room))).participants
    (agent,) = (person for person in people if person.kind == api.ParticipantInfo.Kind.AGENT)
    return agent


async def test_a_reload_comes_back_into_the_call_by_itself(
    browser: Browser, page_url: str, livekit: LiveKitSettings
) -> None:
    async with visit(browser, page_url) as here:
        await here.button("Call").click()
        await answered(here)
        agent = (await agent_in(livekit, here.offers[0]["room"])).sid
        await here.page.reload()
        await answered(here)
        before, after = here.offers
        assert here.calls[-1][0]["call"] == before["token"]
        assert after["identity"] == before["identity"]
        assert (await agent_in(livekit, after["room"])).sid == agent, "it kept the conversation"
        await here.button("End").click()
        await here.page.reload()
        await expect(here.page.get_by_role("heading", level=1)).to_be_visible()
        assert len(here.offers) == 2, "a call that was ended is not called again"


async def test_what_is_in_the_way_of_a_call_is_shown_and_so_is_that_the_server_ended_it(
    browser: Browser, page_url: str, livekit: LiveKitSettings
) -> None:
    async with visit(browser, page_url) as here:
        await here.button("Call").click()
        await answered(here)
        secret = livekit.livekit_api_secret.get_secret_value()
        room = here.offers[0]["room"]
        agent = (await agent_in(livekit, room)).identity
        trouble = here.page.locator("#hitch")
        await expect(trouble).to_be_hidden()
        async with api.LiveKitAPI(livekit.livekit_url, livekit.livekit_api_key, secret) as server:
            for may_speak in (False, True):
                permission = api.ParticipantPermission(
                    can_subscribe=True, can_publish=may_speak, can_publish_data=True, can_update_metadata=True
                )
                await server.room.update_participant(
                    api.UpdateParticipantRequest(room=room, identity=agent, permission=permission)
                )
                if may_speak:
                    await expect(trouble).to_be_hidden(timeout=SOON_MS)
                else:
                    await expect(trouble).to_have_text(UNHEARD, timeout=SOON_MS)
            await server.room.delete_room(api.DeleteRoomRequest(room=room))
        alert = here.page.get_by_role("alert")
        await expect(alert).to_contain_text("The call has ended.", timeout=SOON_MS)
        await expect(here.button("Call")).to_be_visible()


async def test_a_model_that_reads_can_be_typed_to_and_one_that_leaves_is_said_to_have_left(
    browser: Browser, page_url: str, livekit: LiveKitSettings
) -> None:
    async with visit(browser, page_url) as here:
        await here.button("Call").click()
        await answered(here)
        room = here.offers[0]["room"]
        agent = (await agent_in(livekit, room)).identity
        secret = livekit.livekit_api_secret.get_secret_value()
        async with api.LiveKitAPI(livekit.livekit_url, livekit.livekit_api_key, secret) as server:
            reads = api.UpdateParticipantRequest(
                room=room, identity=agent, attributes={"moshi.text_input": "true"}
            )
            await server.room.update_participant(reads)
            line = here.page.get_by_label("Type to it")
            await expect(line).to_be_visible(timeout=SOON_MS)
            await line.fill("a typed line")
            await line.press("Enter")
            await expect(here.transcript).to_contain_text("a typed line")

            await here.page.clock.install()
            await server.room.remove_participant(api.RoomParticipantIdentity(room=room, identity=agent))
        await said_in_time(here, "The model has left the call.")


async def test_a_call_that_was_opened_elsewhere_ends_here(browser: Browser, page_url: str) -> None:
    async with visit(browser, page_url) as here:
        await here.button("Call").click()
        await answered(here)
        elsewhere = rtc.Room()
        try:
            await elsewhere.connect(here.offers[0]["url"], here.offers[0]["token"])
            await expect(here.page.get_by_role("alert")).to_contain_text("This call goes on elsewhere.")
            await expect(here.button("Call")).to_be_visible()
            await elsewhere.local_participant.publish_data(b"", topic=HANG_UP_TOPIC)
        finally:
            await elsewhere.disconnect()


async def test_one_who_comes_when_all_seats_are_taken_is_told_so_and_called_in_when_one_is_free(
    browser: Browser, page_url: str
) -> None:
    async with visit(browser, page_url) as first:
        await first.button("Call").click()
        await answered(first)
        async with visit(browser, page_url) as second:
            await second.button("Call").click()
            alert = second.page.get_by_role("alert")
            await expect(alert).to_contain_text("All seats are taken.", timeout=SOON_MS)
            await expect(second.state).to_contain_text("Again in")
            await first.button("End").click()
            await answered(second)
            await expect(alert).to_be_hidden()


async def test_a_microphone_that_is_denied_is_said_to_be_blocked_and_nobody_is_called(page_url: str) -> None:
    async with chromium(None) as browser, visit(browser, page_url, permissions=[]) as here:
        await here.button("Call").click()
        alert = here.page.get_by_role("alert")
        await expect(alert).to_contain_text("The microphone is blocked.")
        await expect(alert).to_contain_text("Allow it for this page")
        assert here.calls == []


async def test_a_page_that_is_not_secure_says_so(browser: Browser, page_url: str) -> None:
    async with visit(browser, page_url.replace("127.0.0.1", ELSEWHERE)) as here:
        await here.button("Call").click()
        await expect(here.page.get_by_role("alert")).to_contain_text("This page is not secure.")


async def test_a_server_that_does_not_answer_is_asked_again_until_one_cancels(
    browser: Browser, page_url: str
) -> None:
    async with visit(browser, page_url) as here:
        await here.page.context.set_offline(True)
        await here.button("Call").click()
        await expect(here.page.get_by_role("alert")).to_contain_text("The server does not answer.")
        await here.page.context.set_offline(False)
        await expect(here.button("End")).to_be_visible(timeout=SOON_MS)
        await here.page.context.set_offline(True)
        await here.button("End").click()
        await here.button("Call").click()
        await expect(here.state).to_contain_text("Again in")
        await here.button("Cancel").click()
        await expect(here.page.get_by_role("alert")).to_be_hidden()
        await expect(here.button("Call")).to_be_visible()


async def test_a_server_with_a_secret_asks_for_it_and_an_address_can_bring_it(
    browser: Browser, page_url: str
) -> None:
    shown: list[str | None] = []

    async def refuse(route: Route) -> None:
        shown.append(await route.request.header_value("Authorization"))
        await route.fulfill(status=401, json={"error": "unauthorized", "message": "no"})

    async with visit(browser, f"{page_url}#secret=wrong") as here:
        assert "wrong" not in here.page.url
        await here.page.route("**/api/call", refuse)
        await here.button("Call").click()
        await expect(here.page.get_by_role("alert")).to_contain_text("This server asks for a secret.")
        await expect(here.page.get_by_label("Secret")).to_be_focused()
        await here.page.keyboard.press("Control+A")
        await here.page.keyboard.type("open sesame")
        await here.button("Done").click()
        await here.button("Call").click()
        await expect(here.page.get_by_label("Secret")).to_be_focused()
        assert shown == ["Bearer wrong", "Bearer open sesame"]


@pytest.mark.parametrize(
    ("status", "error", "sentence"),
    [
        (503, "no_agent", "Nobody took the call."),
        (503, "draining", "The server cannot take calls now. too many: try again in 1 second"),
        (429, "too_many_calls", "Too many calls from here. too many: try again in 1 second"),
    ],
)
async def test_who_is_refused_for_a_moment_sees_it_pass_and_is_called_in(
    browser: Browser, page_url: str, status: int, error: str, sentence: str
) -> None:
    async def refuse(route: Route) -> None:
        answer = {"error": error, "message": "too many: try again in 1 second"}
        await route.fulfill(status=status, headers={"Retry-After": "1"}, json=answer)

    async with visit(browser, page_url) as here:
        await here.page.route("**/api/call", refuse)
        await here.button("Call").click()
        await expect(here.page.get_by_role("alert")).to_contain_text(sentence)
        await expect(here.state).to_have_text("Again in 1 s")
        await here.page.unroute("**/api/call")
        await expect(here.button("End")).to_be_visible(timeout=SOON_MS)
        await expect(here.page.get_by_role("alert")).to_be_hidden()


async def test_a_call_that_the_server_refuses_is_not_asked_for_again_by_itself(
    browser: Browser, page_url: str
) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(status=400, json={"error": "bad_request", "message": "seed is a whole number"})

    async with visit(browser, page_url) as here:
        await here.page.route("**/api/call", refuse)
        await here.button("Call").click()
        alert = here.page.get_by_role("alert")
        await expect(alert).to_contain_text("The server refused this call. seed is a whole number")
        await expect(here.button("Call")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("NotFoundError", "There is no microphone."),
        ("NotReadableError", "The microphone cannot be opened."),
        ("TypeError", "The microphone cannot be used."),
    ],
)
async def test_a_microphone_that_cannot_be_had_is_told_with_its_reason(
    browser: Browser, page_url: str, name: str, sentence: str
) -> None:
    async with visit(browser, page_url) as here:
        await here.page.evaluate(NO_MICROPHONE, name)
        await here.button("Call").click()
        await expect(here.page.get_by_role("alert")).to_contain_text(sentence)
        assert here.calls == []


async def test_the_chosen_microphone_and_speaker_are_used_and_remembered(page_url: str) -> None:
    microphone, speaker = "Fake Audio Input 1", "Fake Audio Output 1"
    async with chromium(None) as browser, visit(browser, page_url, permissions=["microphone"]) as here:
        await here.page.add_init_script(NOTE_MICROPHONES)
        await here.button("Settings").click()
        await here.page.get_by_label("Microphone").select_option(label=microphone)
        await here.page.get_by_label("Speaker").select_option(label=speaker)
        await here.page.keyboard.press("Escape")
        await here.page.reload()
        await here.button("Settings").click()
        chosen = [await here.page.locator(f"#{device}").input_value() for device in ("microphone", "speaker")]
        assert all(chosen)
        await here.page.keyboard.press("Escape")
        await here.button("Call").click()
        await expect(here.button("End")).to_be_visible(timeout=SOON_MS)
        used = "[microphones.at(-1), document.querySelector('audio')?.sinkId ?? '']"
        async with asyncio.timeout(SOON_MS / 1000):
            while await here.page.evaluate(used) != chosen:
                await asyncio.sleep(0.1)

        await here.button("End").click()
        await here.page.evaluate(
            "localStorage.setItem('moshi-live', JSON.stringify({microphone: 'unplugged'}))"
        )
        await here.page.reload()
        await here.button("Call").click()
        await expect(here.button("End")).to_be_visible(timeout=SOON_MS)


async def test_a_device_without_wires_is_said_to_add_to_every_answer(browser: Browser, page_url: str) -> None:
    async with visit(browser, page_url) as here:
        await here.page.evaluate(EARBUDS)
        await here.button("Settings").click()
        hint = here.page.get_by_text("This is a Bluetooth device")
        await expect(hint).to_be_hidden()
        await here.page.get_by_label("Speaker").select_option(label="Somebody's AirPods")
        await expect(hint).to_be_visible()


async def test_where_media_cannot_pass_the_page_says_that_no_sound_comes_through(
    browser: Browser, page_url: str
) -> None:
    async with visit(browser, page_url) as here:
        await here.page.evaluate(FIREWALL)
        await here.button("Call").click()
        await expect(here.page.get_by_role("alert")).to_contain_text(
            "The server is there, but no sound comes through.", timeout=SOON_MS
        )
        await expect(here.button("Call")).to_be_visible()


async def test_where_the_browser_plays_nothing_unasked_the_button_lets_it(
    browser: Browser, page_url: str
) -> None:
    async with visit(browser, page_url) as here:
        await here.button("Call").click()
        await answered(here)
        # It comes back into the call by itself, and nobody has touched the new page.
        await here.page.add_init_script(SILENT_UNTIL_TOUCHED)
        await here.page.reload()
        await expect(here.button("Listen")).to_be_visible(timeout=SOON_MS)
        await expect(here.state).to_have_text("Your browser waits for a click before it plays sound")
        await here.button("Listen").click()
        await expect(here.button("End")).to_be_visible(timeout=SOON_MS)
        assert await here.page.evaluate("document.querySelector('audio').paused") is False


async def test_it_needs_no_mouse(browser: Browser, page_url: str) -> None:
    async with visit(browser, page_url) as here:
        await here.page.keyboard.press("Tab")
        await expect(here.button("Settings")).to_be_focused()
        await here.page.keyboard.press("Tab")
        await expect(here.button("Call")).to_be_focused()
        await here.page.keyboard.press("Enter")
        await answered(here)
        mute = here.page.get_by_role("button", name="Mute")
        await here.page.keyboard.press("m")
        await expect(mute).to_have_attribute("aria-pressed", "true")
        await here.page.keyboard.press("m")
        await expect(mute).to_have_attribute("aria-pressed", "false")
        await expect(here.button("End")).to_be_focused()
        await here.page.keyboard.press("Enter")
        await expect(here.state).to_have_text("Call ended")


async def test_a_line_that_breaks_is_mended_or_the_call_is_said_to_have_dropped(
    browser: Browser, page_url: str
) -> None:
    port = URL(page_url).port
    assert port
    async with (
        Line.to(port) as line,
        visit(browser, f"http://127.0.0.1:{line.port}/") as here,
    ):
        await here.button("Call").click()
        await answered(here)
        line.cut()
        await expect(here.state).to_have_text("Reconnecting", timeout=SOON_MS)
        line.mend()
        await expect(here.state).to_have_text(re.compile("Listening|Speaking"), timeout=SOON_MS)

        await here.page.clock.install()
        line.cut()
        await expect(here.state).to_have_text("Reconnecting", timeout=SOON_MS)
        # It tries for most of a minute.
        await said_in_time(here, "The call was dropped.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 568), (390, 844), (844, 390), (1280, 800)])
async def test_it_fits_every_screen_in_light_and_dark(
    browser: Browser, page_url: str, width: int, height: int, scheme: str
) -> None:
    size = {"width": width, "height": height}
    async with visit(browser, page_url, viewport=size, color_scheme=scheme) as here:
        assert await here.page.evaluate("document.documentElement.scrollWidth") == width
        for name in ("Settings", "Call"):
            box = await here.button(name).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert min(box["width"], box["height"]) >= 40, "a finger has to meet it"
        paper = await here.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        brightness = np.mean([int(part) for part in paper[4:-1].split(",")])
        assert (brightness > 128) == (scheme == "light")
