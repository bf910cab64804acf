"""Vectors of texts that callers send."""
