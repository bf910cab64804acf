"""Language models and embeddings: which there are, getting them, and asking them."""
