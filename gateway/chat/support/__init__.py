"""Whether what an answer says stands in its sources; see README.md."""

from gateway.chat.support.check import Reason, SupportedSentence, check_support

__all__ = ["Reason", "SupportedSentence", "check_support"]
