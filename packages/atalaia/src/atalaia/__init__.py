"""The command ``atalaia``: the whole platform on one machine, and its demonstrations."""
