"""How well an installation finds, guards and answers, measured on anybody's corpus with anybody's questions."""
