"""Moshi and a pipeline of recogniser, LLM and voice in one call: two speakers, and one of them is heard."""

from worker.hybrid.hybrid import Hybrid

__all__ = ["Hybrid"]
