"""Tell crawlers from people."""

from __future__ import annotations


def is_bot(user_agent: str) -> bool:
    """Say whether a User-Agent is a known crawler or a headless Chrome."""
    return "bot" in user_agent.lower() or "HeadlessChrome" in user_agent
