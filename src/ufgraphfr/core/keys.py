"""Randomness keyed by (seed, purpose, round, client), never by the order of calls.

Philox4x32-10, a counter-based generator: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
easy as 1, 2, 3", SC 2011. The counter holds (draw, client, round, purpose and part) and the key
holds the seed, so any client's draws can be made alone, in any order, on any device, with the
same result.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIER = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


class Purpose(IntEnum):
    """What a stream of random numbers is for: its word in the counter.

    Several streams may have the lowest eight bits in common; the bits above are then a number of
    their own. Where a purpose has a stream for each epoch, step, array ..., `Key.part` counts these
    up, and never into another member's stream.
    """

    INIT = 1
    """Users' vectors, and all weights of centralised baselines."""
    INIT_ITEMS = 1 | 1 << 8
    INIT_SCORER = 1 | 2 << 8
    """The networks that stay on devices."""
    INIT_TRANSFORMER = 1 | 3 << 8
    INIT_FROM_GRAPH = 1 | 4 << 8
    """A Transformer's item vectors, once there is a graph."""
    PROJECTION = 1 | 5 << 8
    """Of profile vectors."""
    CANARY_COINS = 1 | 7 << 8
    """Which canaries take part."""
    SHADOWS = 1 | 1000 << 8
    """Histories of made-up clients; a part for each."""
    COHORT = 2
    DROPOUTS = 2 | 1 << 8
    """Who does not answer."""
    ROTATION = 2 | 2 << 8
    """In which order clients have their turn."""
    NEGATIVES = 3
    SHUFFLE = 4
    DROPOUT = 5
    """Masks in a network."""
    NOISE = 6
    CLIP_COUNT = 6 | 2**10 << 8
    """Noise on how many updates are within an adaptive clip."""
    CANDIDATES = 7
    TIES = 8
    SPLIT = 9
    BOOTSTRAP = 10
    ROUNDING = 11
    BLOCKS = 12
    MALICIOUS = 2 | 1 << 8 | 1 << 32
    """Who is malicious in a simulation. It is drawn once, in round 0; its word is that of
    `DROPOUTS`, which are drawn in rounds from 1."""
    VICTIMS = 13
    """Whose uploads an audit looks at."""
    CANARIES = 14
    """Directions; a part for each canary."""
    FUSION = 15
    """Who is asked for a fusion's coefficients."""
    PSEUDO_ITEMS = 16
    """Items that a user pretends to have."""
    PSEUDO_GRADIENTS = 17
    LAPLACE = 18
    """Noise of an algorithm's own."""
    CIPHER = 1 | 8 << 8
    """How devices rename items before they are matched."""


_STREAMS = frozenset(map(int, Purpose))
_ONCE = 1 << 32
"""Set in a purpose that is drawn in round 0 alone; it is above the word in the counter."""


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], seed: int) -> Tensor:
    """Ten rounds of Philox4x32.

    Args:
        counter: four int64 tensors of one broadcastable shape, each holding 32-bit words.
        seed: 64 bits; low and high word are the key.

    Returns:
        int64 tensor ``[*shape, 4]`` of uniform 32-bit words.
    """
    c0, c1, c2, c3 = torch.broadcast_tensors(*counter)
    k0, k1 = seed & _MASK, (seed >> 32) & _MASK
    for _ in range(_ROUNDS):
        # int64 products wrap, but their 64 bits are those of the unsigned product; c1 and c3
        # keep their upper halves, which only the masks below need to cut off
        p0, p1 = c0 * _MULTIPLIER[0], c2 * _MULTIPLIER[1]
        c0 = (p1 >> 32).bitwise_xor_(c1).bitwise_xor_(k0).bitwise_and_(_MASK)
        c2 = (p0 >> 32).bitwise_xor_(c3).bitwise_xor_(k1).bitwise_and_(_MASK)
        c1, c3 = p1, p0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return torch.stack((c0, c1, c2, c3), dim=-1).bitwise_and_(_MASK)


@dataclass(frozen=True)
class Key:
    """One stream of random numbers for each client."""

    seed: int
    round: int = 0
    purpose: Purpose = Purpose.INIT
    part: int = 0

    @property
    def stream(self) -> int:
        """The stream's word in the counter.

        Raises:
            ValueError: it is the stream of another purpose.
        """
        stream = int(self.purpose) + (self.part << 8)
        if self.part and stream in _STREAMS:
            raise ValueError(f"part {self.part} of {self.purpose.name} is {Purpose(stream).name}")
        if self.round and stream & _ONCE:
            raise ValueError(f"{self.purpose.name} is drawn once, in round 0")
        if not self.round and not stream & _ONCE and stream | _ONCE in _STREAMS:
            taken = Purpose(stream | _ONCE).name
            raise ValueError(f"round 0 of {self.purpose.name} is {taken}")
        return stream & _MASK

    def at(self, round_number: int) -> "Key":
        """The same stream in another round."""
        return replace(self, round=round_number)

    def to(self, purpose: Purpose, part: int = 0) -> "Key":
        """The same seed and round for another purpose, or a part of it (epoch, step, array)."""
        return replace(self, purpose=purpose, part=part)

    def words(self, clients: Tensor, first: int, count: int) -> Tensor:
        """Uniform 32-bit words, numbers ``first`` to ``first + count`` of each client's stream.

        Args:
            clients: int64 ``[clients]``, the clients' numbers.
            first: the first word; a multiple of four.
            count: how many words.

        Returns:
            int64 ``[clients, count]`` in ``[0, 2**32)``.
        """
        if first % 4:
            raise ValueError(f"first = {first} must be a multiple of 4, the words of one block")
        blocks = torch.arange(first // 4, first // 4 + -(-count // 4), device=clients.device)
        fixed = torch.tensor([self.round, self.stream], device=clients.device)
        words = philox((blocks[None, :], clients[:, None], fixed[0], fixed[1]), self.seed)
        return words.flatten(1)[:, :count]

    def integers(self, clients: Tensor, count: int, high: Tensor | int) -> Tensor:
        """Uniform integers in ``[0, high)``, int64 ``[clients, count]``.

        ``high`` (below 2**31) is one number or one for each client; the bias of the
        multiply-and-shift is below ``high / 2**32``.
        """
        bound = torch.as_tensor(high, device=clients.device).view(-1, 1)
        return (self.words(clients, 0, count) * bound) >> 32

    def uniform(self, clients: Tensor, count: int) -> Tensor:
        """Uniform float64 in ``(0, 1)``, ``[clients, count]``, on a grid of 2**-32."""
        return (self.words(clients, 0, count).double() + 0.5) / 2**32

    def bytes(self, clients: Tensor, count: int) -> Tensor:
        """Uniform float32 in ``(0, 1)``, ``[clients, count]``, on a grid of 2**-8: cheap ones."""
        words = self.words(clients, 0, -(-count // 4)).int()
        return (words.view(torch.uint8)[:, :count] + 0.5) / 2**8

    def generator(self) -> torch.Generator:
        """A sequential CPU generator for draws that belong to no client (initial weights)."""
        nobody = torch.tensor([_MASK])
        high, low = self.words(nobody, 0, 2)[0].tolist()
        return torch.Generator().manual_seed((high << 31) ^ low)
