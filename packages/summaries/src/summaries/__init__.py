"""What adds up: integer counts of a window, and the textbook statistics computed from them.

Pure NumPy and SciPy, and MessagePack where state becomes bytes; usable without the rest of Atalaia.
One vocabulary: ``update``, ``merge``, ``get``.
"""
