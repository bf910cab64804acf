"""Configured sources and their runs."""
