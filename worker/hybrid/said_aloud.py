"""What Moshi has said that was heard: an LLM that does not know of it answers as if nobody had spoken."""

import time
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from livekit.agents import Agent, FlushSentinel, ModelSettings, llm

from worker.signs.transcript import Keeper

_LINE = '[Moshi, the other voice in this call, has said aloud: "{}"]'

Answer = (
    AsyncIterable[llm.ChatChunk | str | FlushSentinel]
    | Coroutine[Any, Any, AsyncIterable[llm.ChatChunk | str | FlushSentinel]]
    | Coroutine[Any, Any, str]
    | Coroutine[Any, Any, llm.ChatChunk]
    | Coroutine[Any, Any, None]
)


@dataclass(frozen=True, slots=True)
class Said:
    """Some words, and when they began, in Unix time."""

    text: str
    at: float


class SaidAloud:
    """Takes what is written of Moshi's words, see `Transcript`. kept: takes it, too."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:  # noqa: TID251  # as the framework's
        self.kept: Keeper | None = None
        self._wall = wall
        self._said: list[Said] = []
        self._is_open = False
        self._agents = WeakSet[Agent]()

    @property
    def said(self) -> Sequence[Said]:
        """All of it so far, a segment each."""
        return self._said

    def write(self, text: str, *, ends: bool = False) -> None:
        """A piece of a segment, which may end with it."""
        if text and self._is_open:
            self._said[-1] = Said(self._said[-1].text + text, self._said[-1].at)
        elif text:
            self._said.append(Said(text, self._wall()))
        self._is_open = (self._is_open or bool(text)) and not ends
        if self.kept:
            self.kept.write(text, ends=ends)

    def notice(self, text: str) -> None:
        """A line that is not Moshi's."""
        if self.kept:
            self.kept.notice(text)

    def tell(self, agent: Agent) -> None:
        """Whenever this agent asks its LLM, it reads what was said until then."""
        if agent in self._agents:
            return
        self._agents.add(agent)
        ask = agent.llm_node

        def ask_with_it(
            chat_ctx: llm.ChatContext, tools: list[llm.Tool], model_settings: ModelSettings
        ) -> Answer:
            return ask(told(chat_ctx, self._said), tools, model_settings)

        # The framework offers nothing else that leaves the history, and an answer begun early, as they are.
        agent.llm_node = ask_with_it  # type: ignore[method-assign]


def told(chat_ctx: llm.ChatContext, said: Sequence[Said]) -> llm.ChatContext:
    """The same conversation, where each message of the caller's begins with what Moshi had said before it.

    What it has said since the last one comes with the next. In messages of the caller's, because many models
    take none between those that come from a third, and none of the system's after the first.
    """
    left = sorted(said, key=lambda each: each.at)
    items: list[llm.ChatItem] = []
    for item in chat_ctx.items:
        if isinstance(item, llm.ChatMessage) and item.role == "user":
            before = [each.text.strip() for each in left if each.at <= item.created_at]
            left = left[len(before) :]
            if before:
                line = _LINE.format(" ".join(before))
                item = item.model_copy(update={"content": [line, *item.content]})
        items.append(item)
    return llm.ChatContext(items)
