"""Documents and passages: parsing, chunking, indexing, and the one door to them, `Retriever.search`."""
