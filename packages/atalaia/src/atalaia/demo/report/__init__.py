"""The self-contained report of a demonstration: plots and the page around them."""
