"""The client, where it was before it had a package of its own."""

from kovra.client import AddressWrong, ApiRefused, Client, address

__all__ = ["AddressWrong", "ApiRefused", "Client", "address"]
