"""Search without an answer: the passages a person may read."""
