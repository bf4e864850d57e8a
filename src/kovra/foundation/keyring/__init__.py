"""The keyring: master keys wrap holder keys, holder keys derive record keys; values are sealed to their place.

Rotating a master re-wraps holder keys and touches no record; rotating a holder's key makes a version for new writes and
a job re-seals the old. The purpose ``secret`` is asymmetric: whoever holds only the public half of the core set (the
api) can seal and cannot open.
"""

from kovra.foundation.keyring.envelope import SealBroken
from kovra.foundation.keyring.holders import Holder, HolderKey, HolderKeys, Purpose
from kovra.foundation.keyring.keyring import Digest, Keyring, KeyringObserver, Place, Sealed
from kovra.foundation.keyring.masters import (
    KeyBroken,
    KeyVersionMissing,
    MasterKey,
    MasterKeys,
    MasterKeySource,
    MasterSet,
)
from kovra.foundation.keyring.values import SecretValue

__all__ = [
    "Digest",
    "Holder",
    "HolderKey",
    "HolderKeys",
    "KeyBroken",
    "KeyVersionMissing",
    "Keyring",
    "KeyringObserver",
    "MasterKey",
    "MasterKeySource",
    "MasterKeys",
    "MasterSet",
    "Place",
    "Purpose",
    "SealBroken",
    "Sealed",
    "SecretValue",
]
