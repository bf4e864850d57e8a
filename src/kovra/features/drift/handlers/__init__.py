"""Job handlers: compare and put back, keep the walls, prove them."""
