"""Who takes part in a round: keyed draws, so a resumed run draws the same cohorts."""

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ufgraphfr.core.keys import Key, Purpose
from ufgraphfr.core.spec import Spec
from ufgraphfr.federation.upload import UploadSpec


class FederationSpec(Spec):
    """Rounds and cohorts; fields are the keys of the ``[federation]`` table."""

    rounds: int = Field(100, ge=1)
    cohort: float = Field(1.0, gt=0)
    """Clients of a round: a share up to 1, or a number above 1."""
    sampling: Literal["fixed", "poisson"] = "fixed"
    """``fixed`` draws exactly that many, ``poisson`` each client by its own coin."""
    chunk: int = Field(128, ge=1)
    """Clients stacked at once: the one knob that bounds memory; results do not depend on it."""
    upload: UploadSpec | None = None
    """How updates are bounded and compressed."""
    dropouts: float | None = Field(None, gt=0, lt=1)
    """Share of each cohort that is asked and never answers, or None; who is asked because
    everybody is, is asked until it answers."""
    transport: Literal["local", "loopback"] = "local"
    """``loopback`` sends every message through its bytes."""

    @model_validator(mode="after")
    def _whole(self) -> "FederationSpec":
        if self.cohort > 1 and self.cohort != int(self.cohort):
            raise ValueError(
                f"cohort = {self.cohort} above 1 is a number of clients and must be whole"
            )
        return self

    def expected(self, clients: int) -> float:
        """The expected size of a cohort."""
        return min(clients, self.cohort if self.cohort > 1 else self.cohort * clients)


def answering(spec: FederationSpec, cohort: Tensor, key: Key) -> Tensor:
    """Those of a cohort that answer, ascending: each but a share of ``dropouts``."""
    if spec.dropouts is None:
        return cohort
    return cohort[key.to(Purpose.COHORT, 1).uniform(cohort, 1)[:, 0] >= spec.dropouts]


def draw_cohort(spec: FederationSpec, clients: Tensor, key: Key) -> Tensor:
    """The clients of a round, ascending.

    Args:
        spec: size and sampling.
        clients: int64 ``[clients]``, who may be drawn.
        key: seed and round.
    """
    size = spec.expected(len(clients))
    words = key.to(Purpose.COHORT).words(clients, 0, 1)[:, 0]
    if spec.sampling == "poisson":
        return clients[words < round(size / len(clients) * 2**32)]
    chosen = words.argsort(stable=True)[: max(1, round(size))]
    return clients[torch.sort(chosen).values]
