"""A copy of all that is held about one person, for that person."""
