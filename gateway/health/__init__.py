"""Whether the service is alive, ready, and measured."""
