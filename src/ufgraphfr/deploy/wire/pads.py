"""Pads: numbers that two nodes share and nobody else knows, and that cancel in a total.

For each pair of nodes a ChaCha20 key is made by X25519 and HKDF-SHA256, bound to everything that
tells this use of it from all others (`PadUse`). Of two nodes the first by name adds the key stream,
the second one subtracts it, modulo ``2**64`` (Bonawitz et al., "Practical secure aggregation for
privacy-preserving machine learning", CCS 2017, without their recovery of dropouts).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

Numbers = NDArray[np.uint64]
LABEL = b"ufgraphfr secure sum 1"
CONFIRMS = b"ufgraphfr confirms 1"
AT_ONCE = 2**18
"""Numbers at a time: what fits the processor's cache."""


@dataclass(frozen=True)
class PadUse:
    """What a pad is used for, once.

    Attributes:
        agreement: its digest.
        run: its name.
        round: from 1.
        kind: of the request.
        attempt: from 1.
        epochs: of the nodes in the total; a node's changes whenever its record of uses is lost.
    """

    agreement: str
    run: str
    round: int
    kind: str
    attempt: int
    epochs: Mapping[str, str]

    @property
    def digest(self) -> bytes:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).digest()


def make_key() -> bytes:
    """A node's private key, 32 bytes."""
    return X25519PrivateKey.generate().private_bytes_raw()


def public_half(private: bytes) -> str:
    """The public half of a private key, 64 hexadecimal digits."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw().hex()


def confirmation(use: PadUse, sender: str, receiver: str, private: bytes, peer: str) -> str:
    """What a node says to another one of a list of nodes, and nobody else can say for it.

    A key that the two alone can derive, from what is confirmed and from who says it to whom: to
    everybody else it is random, so it proves to each of the two that the other one knows the list.

    Args:
        use: names the nodes of the list.
        sender: who says it.
        receiver: to whom.
        private: the key of either.
        peer: the public half of the other one.

    Returns:
        64 hexadecimal digits.
    """
    secret = X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(bytes.fromhex(peer))
    )
    about = b"\n".join((CONFIRMS, sender.encode(), receiver.encode()))
    return HKDF(SHA256(), 32, use.digest, about).derive(secret).hex()


def add_pads(
    values: Numbers, use: PadUse, node: str, private: bytes, public: Mapping[str, str]
) -> Numbers:
    """A node's numbers under its pads with all others.

    Args:
        values: modulo ``2**64``.
        use: names the nodes in the total.
        node: whose numbers they are.
        private: its key.
        public: each node's public half.

    Returns:
        As many numbers, uniform to whoever lacks one of the pads.

    Raises:
        ValueError: a public half is none.
    """
    masked, own = values.copy(), X25519PrivateKey.from_private_bytes(private)
    for other in use.epochs:
        if other == node:
            continue
        peer = X25519PublicKey.from_public_bytes(bytes.fromhex(public[other]))
        pair = "\n".join(sorted((node, other))).encode()
        derived = HKDF(SHA256(), 32, use.digest, LABEL + b"\n" + pair).derive(own.exchange(peer))
        # a key is used once, so its nonce may be fixed
        stream = Cipher(ChaCha20(derived, bytes(16)), None).encryptor()
        for start in range(0, len(masked), AT_ONCE):
            some = masked[start : start + AT_ONCE]
            pad = np.frombuffer(stream.update(bytes(some.nbytes)), "<u8")
            some[:] = some + pad if node < other else some - pad
    return masked


def to_bytes(values: Numbers, width: int) -> NDArray[np.uint8]:
    """The lower ``width`` bytes of each number, uint8 ``[numbers, width]``."""
    return values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].copy()


def from_bytes(values: NDArray[np.uint8]) -> Numbers:
    """The inverse of `to_bytes`, modulo ``2**(8 width)``."""
    whole = np.zeros((len(values), 8), np.uint8)
    whole[:, : values.shape[1]] = values
    return whole.view("<u8")[:, 0].astype(np.uint64)


def signed(values: Numbers, width: int) -> NDArray[np.int64]:
    """Numbers modulo ``2**(8 width)`` as those around 0."""
    away = np.uint64(64 - 8 * width)
    found: NDArray[np.int64] = (values << away).view(np.int64) >> np.int64(away)
    return found
