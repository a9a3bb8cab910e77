"""Events folded into what is shown. Pure: it knows no broker, no terminal and no browser."""
