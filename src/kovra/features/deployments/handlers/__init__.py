"""Job handlers: the steps of a deployment (``advance``) and the care of what runs (``upkeep``)."""
