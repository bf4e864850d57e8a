"""Reading an environment whole, rehearsing changes of it, and making them."""
