"""Questions and answers: from a question and what its asker may read to a cited answer with a receipt."""
