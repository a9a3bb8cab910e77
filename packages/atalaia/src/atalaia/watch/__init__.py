"""``atalaia watch``: what is wrong with the model now, since when, and what was done, from the topics alone."""
