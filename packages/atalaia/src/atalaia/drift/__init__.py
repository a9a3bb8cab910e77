"""``atalaia drift``: what changed, whether to accept it, and what other thresholds would have said."""
