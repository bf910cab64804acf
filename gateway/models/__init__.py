"""What operators change besides users and sources."""
