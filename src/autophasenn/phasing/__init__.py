"""Classical phase retrieval: algorithms, support, the one loop, ensembles of starts."""
