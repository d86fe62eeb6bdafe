"""Moshi for people's own pipelines of Pipecat: `from worker.pipecat import MoshiService`."""

from worker.pipecat.service import MoshiService

__all__ = ["MoshiService"]
