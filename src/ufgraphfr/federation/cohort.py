"""Who takes part in a round: keyed draws, so a resumed run draws the same cohorts."""

import os
from typing import Any, Literal

import torch
from pydantic import (
    Field,
    FieldSerializationInfo,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)
from torch import Tensor

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.spec import Registry, Spec
from ufgraphfr.federation.adversaries import ADVERSARIES
from ufgraphfr.federation.adversaries.base import Adversary
from ufgraphfr.federation.defences import DEFENCES
from ufgraphfr.federation.defences.base import Defence
from ufgraphfr.federation.transports import TRANSPORTS
from ufgraphfr.federation.transports.base import TransportSpec
from ufgraphfr.federation.transports.local import Local
from ufgraphfr.federation.upload import UploadSpec

REGISTRIES: dict[str, Registry[Any]] = {
    "adversary": ADVERSARIES,
    "defence": DEFENCES,
    "transport": TRANSPORTS,
}
MANY = 2**17
"""From so many clients on a cohort is drawn without a number for everybody."""


class FederationSpec(Spec):
    """Rounds and cohorts; fields are the keys of the ``[federation]`` table."""

    rounds: int = Field(100, ge=1)
    """How many rounds there are."""
    cohort: int | float = Field(1.0, gt=0)
    """Clients of a round: a whole number (``1`` is one client), or a share with a decimal point
    (``1.0`` is everybody)."""
    sampling: Literal["fixed", "poisson", "rotation"] = "fixed"
    """``fixed`` draws exactly that many, ``poisson`` each client by its own coin, ``rotation``
    shuffles all clients into cohorts and starts again when everybody had a turn."""
    chunk: int = Field(128, ge=1)
    """Clients stacked at once: the one knob that bounds memory; results do not depend on it. The
    item graph of a large catalogue stacks them by what their pairs hold, and asks for no number."""
    upload: UploadSpec | None = None
    """How updates are bounded and compressed."""
    dropouts: float = Field(0.0, ge=0, lt=1)
    """Share of each cohort that is asked and never answers; who is asked because
    everybody is, is asked until it answers."""
    transport: TransportSpec = Local()
    """How messages reach the simulated clients, a kind, or a table with a ``kind``: ``local``, the
    default, hands them over, ``loopback`` sends every one through its bytes."""
    adversary: Adversary | None = None
    """Malicious clients to simulate; a table with a ``kind``."""
    defence: Defence | None = None
    """What bounds a few clients' say, a table with a ``kind``; ``row-cap`` against an adversary.
    A simulation of honest clients alone sums before anything looks at a single reply."""

    @field_validator("adversary", "defence", "transport", mode="before")
    @classmethod
    def _built(cls, value: Any, info: ValidationInfo) -> Any:
        """The part that a table names, or a word alone."""
        if not isinstance(value, dict | str):
            return value
        given = {"kind": value} if isinstance(value, str) else dict(value)
        registry = REGISTRIES[str(info.field_name)]
        if "kind" not in given:
            raise ValueError(f"needs a kind: {', '.join(registry.kinds)}")
        where = f"[federation.{info.field_name}]"
        return registry.build(str(given.pop("kind")), given, where)

    @field_serializer("adversary", "defence", "transport")
    def _named(
        self, part: Spec | None, info: FieldSerializationInfo
    ) -> dict[str, Any] | str | None:
        if part is None:
            return None
        changed = info.exclude_defaults
        plain = part.model_dump(mode="json", exclude_none=True, exclude_defaults=changed)
        # a transport without keys is written as the word that it always was
        if info.field_name == "transport" and not plain:
            return part.kind
        return {"kind": part.kind, **plain}

    @field_validator("cohort")
    @classmethod
    def _one_or_all(cls, value: float) -> float:
        """Numbers above 1 are counts however they are written; only 1 and 1.0 differ."""
        return value if value == 1 else float(value)

    @model_serializer(mode="wrap")
    def _written(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """With ``cohort = 1``, which equals the default 1.0 and is not the same."""
        one = {"cohort": 1} if isinstance(self.cohort, int) else {}
        written: dict[str, Any] = handler(self)
        # a default with a serializer of its own would be written although defaults are left out
        if info.exclude_defaults and self.transport == Local():
            written.pop("transport", None)
        return written | one

    @model_validator(mode="after")
    def _whole(self) -> "FederationSpec":
        if self.cohort > 1 and self.cohort != int(self.cohort):
            raise ValueError(
                f"cohort = {self.cohort} above 1 is a number of clients and must be whole"
            )
        return self

    @property
    def cohort_is_share(self) -> bool:
        """Whether the cohort is a share of the clients, and no number of them."""
        return self.cohort <= 1 and not isinstance(self.cohort, int)

    def expected(self, clients: int) -> float:
        """The expected size of a cohort."""
        return min(clients, self.cohort * clients if self.cohort_is_share else self.cohort)

    def check(self, clients: int) -> None:
        """There are as many clients as a round asks for, and some in most rounds.

        Raises:
            InputError: there are not.
        """
        if self.cohort > max(1, clients):
            raise InputError(
                f"[federation] cohort = {self.cohort:g} asks for more clients than the {clients:,} "
                f"that train: set cohort = {clients} or fewer, or 1.0 for everybody"
            )
        share = self.expected(clients) / max(1, clients)
        if self.sampling == "poisson" and (1 - share) ** clients > 0.5:
            raise InputError(
                f"[federation] cohort = {self.cohort:g} of {clients:,} clients would leave most "
                f"rounds empty under sampling = 'poisson': set cohort = {1 / clients:.2g} or more"
            )

    def turns(self, clients: int) -> int:
        """``rotation``: rounds until everybody had a turn."""
        return min(clients, max(1, round(clients / self.expected(clients))))

    def participations(self, first: int, last: int, clients: int) -> int:
        """Rounds from ``first`` to ``last`` that one client takes part in, at most."""
        if self.sampling != "rotation":
            return last - first + 1
        turns = self.turns(clients)
        return (last - 1) // turns - (first - 1) // turns + 1


def answering(spec: FederationSpec, cohort: Tensor, key: Key) -> Tensor:
    """Those of a cohort that answer, ascending: each but a share of ``dropouts``."""
    if spec.dropouts == 0:
        return cohort
    return cohort[key.to(Purpose.DROPOUTS).uniform(cohort, 1)[:, 0] >= spec.dropouts]


def draw_cohort(spec: FederationSpec, clients: Tensor, key: Key, secret: bool = False) -> Tensor:
    """The clients of a round, ascending.

    Args:
        spec: size and sampling.
        clients: int64 ``[clients]``, who may be drawn.
        key: seed and round.
        secret: whether a guarantee rests on Poisson coins, which no seed may then give away.
    """
    size = spec.expected(len(clients))
    if spec.sampling == "rotation":
        turns = spec.turns(len(clients))
        lap, turn = divmod(key.round - 1, turns)
        order = key.at(lap).to(Purpose.ROTATION).words(clients, 0, 1)[:, 0].argsort(stable=True)
        return clients[torch.sort(order.tensor_split(turns)[turn]).values]
    count = max(1, round(size))
    if spec.sampling == "fixed" and len(clients) >= MANY and count <= len(clients) // 4:
        return clients[_places(count, len(clients), key.to(Purpose.COHORT), clients.device)]
    words = key.to(Purpose.COHORT).words(clients, 0, 1)[:, 0]
    if spec.sampling == "poisson":
        if secret:
            words = _coins(len(clients)).to(clients.device)
        return clients[words < round(size / len(clients) * 2**32)]
    chosen = words.argsort(stable=True)[:count]
    return clients[torch.sort(chosen).values]


def _places(count: int, clients: int, key: Key, device: torch.device) -> Tensor:
    """Distinct places among many clients, int64 ``[count]``, ascending: a draw each, not a client.

    They are the first distinct ones of a stream of uniform draws.
    """
    draws = 2 * count
    while True:
        stream = torch.arange(draws, device=device)
        ordered, draw = key.integers(stream, 1, clients)[:, 0].sort(stable=True)
        first = torch.ones_like(ordered, dtype=torch.bool)
        first[1:] = ordered[1:] != ordered[:-1]
        if int(first.sum()) >= count:
            earliest = draw[first].sort().indices[:count]
            return ordered[first][earliest].sort().values
        draws *= 2


def _coins(count: int) -> Tensor:
    """Uniform 32-bit words from the operating system, int64 ``[count]``."""
    drawn = torch.frombuffer(bytearray(os.urandom(8 * count)), dtype=torch.int64)
    return drawn & 0xFFFFFFFF
