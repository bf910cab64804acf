"""Who could see a document, and why."""
