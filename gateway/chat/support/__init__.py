"""Whether what an answer says stands in its sources; see README.md."""

from gateway.chat.support.check import Reason, SupportedSentence, check_support
from gateway.chat.support.conflicts import Conflict, describe, find_conflicts

__all__ = ["Conflict", "Reason", "SupportedSentence", "check_support", "describe", "find_conflicts"]
