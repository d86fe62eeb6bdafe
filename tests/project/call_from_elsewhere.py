"""Calls as somebody on another machine does, with the page's address and its certificate alone.

`python -m tests.project.call_from_elsewhere ADDRESS CERTIFICATE [SECRET]` prints JSON: the status of the call
endpoint's answer, and how much of what came back was what was said.
"""

import asyncio
import json
import os
import ssl
import sys

import aiohttp

from tests.end_to_end.sounds import keyed_phrases, share
from worker.caller.caller import Caller

TONE_HZ = 1000


async def call(address: str, certificate: str, secret: str) -> dict[str, object]:
    trusted = ssl.create_default_context(cafile=certificate)
    headers = {"Authorization": f"Bearer {secret}"}
    async with (
        aiohttp.ClientSession(address) as page,
        page.post("/api/call", json={}, headers=headers, ssl=trusted) as answer,
    ):
        asked = await answer.json()
    if answer.status != 200:
        return {"status": answer.status}
    async with Caller.enter(asked["url"], asked["token"]) as caller:
        await caller.wait_for_agent(30)
        (phrase,) = keyed_phrases(TONE_HZ, 1)
        await caller.say(phrase)
        return {"status": answer.status, "url": asked["url"], "share": share(caller.heard, TONE_HZ)}


if __name__ == "__main__":
    address, certificate, *secret = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(call(address, certificate, "".join(secret)))))
    sys.stdout.flush()
    # A thread of the SDK may panic when the interpreter goes, and takes the exit code with it.
    os._exit(0)
