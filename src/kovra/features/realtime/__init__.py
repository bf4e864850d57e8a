"""The ledger as it is read from outside: a list with a cursor by sequence. Sockets and streams stand on it."""
