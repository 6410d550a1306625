"""What comes back from nodes: sums over users, checked, added up and turned into means."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ufgraphfr.deploy.wire.message import Envelope, Malformed
from ufgraphfr.deploy.wire.payload import decode_arrays
from ufgraphfr.evaluation.metrics import COVERAGE, NAMES
from ufgraphfr.evaluation.results import RANKINGS
from ufgraphfr.experiment.assess import Metrics
from ufgraphfr.ops.fusion import FusionSums

POPULARITY = "popularity"
"""The array of a reply that holds the metrics of popularity at the node."""


@dataclass(frozen=True)
class Sums:
    """Metrics of all nodes that answered: see `agent.metric_sums`."""

    sums: Tensor
    asked: Tensor
    covered: Tensor | None
    names: Sequence[str] = NAMES
    popularity: Tensor | None = None

    def metrics(self, choice: int) -> Metrics:
        """Means under one choice of the blend; no ``sampled99`` if no user can be asked."""
        found = self._means(self.sums[choice])
        if self.covered is not None:
            found["full"][f"coverage@{COVERAGE}"] = float(self.covered.double().mean())
        return found

    def of_popularity(self) -> Metrics | None:
        """The same of popularity at each node; None if not all nodes said it."""
        return None if self.popularity is None else self._means(self.popularity)

    def _means(self, sums: Tensor) -> Metrics:
        means = (sums / self.asked.clamp(min=1)[:, None]).tolist()
        return {
            ranking: dict(zip(self.names, own, strict=True)) if ranking == "full" or asked else {}
            for ranking, own, asked in zip(RANKINGS, means, self.asked.tolist(), strict=True)
        }


def read_sums(
    reply: Envelope, width: int, clients: int, items: int, metrics: int = len(NAMES)
) -> dict[str, Tensor]:
    """The sums in a reply, if they can be sums over that many clients.

    Args:
        reply: of one node.
        width: how many choices of the blend were asked for; one tells the covered items as well.
        clients: of the node.
        items: in the catalogue.
        metrics: how many were asked for.

    Raises:
        Malformed: they cannot.
    """
    arrays = decode_arrays(only_part(reply))
    shapes = {"sums": (width, len(RANKINGS), metrics), "asked": (len(RANKINGS),)}
    kinds = {"sums": torch.float64, "asked": torch.int64, "covered": torch.uint8}
    if width == 1:
        shapes["covered"] = (items,)
        if POPULARITY in arrays:
            # an agent of the release before says none
            shapes[POPULARITY], kinds[POPULARITY] = shapes["sums"][1:], torch.float64
    if {name: tuple(value.shape) for name, value in arrays.items()} != shapes:
        raise Malformed("metrics of another shape")
    if any(value.dtype != kinds[name] for name, value in arrays.items()):
        raise Malformed("metrics of another kind")
    asked, sums = arrays["asked"], arrays["sums"]
    most = asked[0].clamp(max=clients)
    counted = (asked >= 0) & (asked <= most)
    every = torch.cat((sums, arrays[POPULARITY][None])) if POPULARITY in arrays else sums
    if not bool(counted.all()) or not bool(((every >= 0) & (every <= asked[:, None])).all()):
        raise Malformed("metrics that no sum over these clients can be")
    if width == 1 and bool((arrays["covered"] > 1).any()):
        raise Malformed("an item is covered or not")
    return arrays


def read_noised(reply: Envelope, metrics: int) -> Tensor:
    """The noised sums in a reply, float32 ``[rankings, metrics + 1]``, of any size.

    Raises:
        Malformed: they are none.
    """
    arrays = decode_arrays(only_part(reply))
    found = arrays.get("noised")
    shape = (len(RANKINGS), metrics + 1)
    if len(arrays) != 1 or found is None or tuple(found.shape) != shape:
        raise Malformed("noised metrics of another shape")
    if found.dtype != torch.float32 or not bool(found.isfinite().all()):
        raise Malformed("noised metrics of another kind")
    return found


def noised_total(parts: Sequence[Tensor], names: Sequence[str]) -> Metrics:
    """Means from the noised sums of several nodes, as far as means can be so."""
    total = torch.stack(list(parts)).double().sum(0)
    means = (total[:, :-1] / total[:, -1:].clamp(min=1)).clamp(0, 1).tolist()
    return {
        ranking: dict(zip(names, own, strict=True))
        for ranking, own in zip(RANKINGS, means, strict=True)
    }


def read_fit(reply: Envelope, fits: int, width: int) -> FusionSums:
    """The sums that a fit needs, if they have the form of such.

    Raises:
        Malformed: they have not.
    """
    arrays = decode_arrays(only_part(reply))
    shapes = {
        "loss": (fits,),
        "gradient": (fits, width),
        "hessian": (fits, width, width),
    }
    if {name: tuple(value.shape) for name, value in arrays.items()} != shapes:
        raise Malformed("sums of a fit of another shape")
    if any(value.dtype != torch.float64 for value in arrays.values()):
        raise Malformed("sums of a fit of another kind")
    if not all(bool(value.isfinite().all()) for value in arrays.values()):
        raise Malformed("a sum that is not finite")
    return FusionSums(**arrays)


def total(parts: Sequence[dict[str, Tensor]], names: Sequence[str] = NAMES) -> Sums:
    """The sums of several nodes together, of the metrics of these names."""
    covered = [part["covered"] for part in parts if "covered" in part]
    popular = [part[POPULARITY] for part in parts if POPULARITY in part]
    return Sums(
        sums=torch.stack([part["sums"] for part in parts]).sum(0),
        asked=torch.stack([part["asked"] for part in parts]).sum(0),
        covered=torch.stack(covered).amax(0) if covered else None,
        names=names,
        popularity=torch.stack(popular).sum(0) if len(popular) == len(parts) else None,
    )


def only_part(reply: Envelope) -> bytes:
    """What a reply carries.

    Raises:
        Malformed: it carries several things, or nothing.
    """
    if len(reply.parts) != 1:
        raise Malformed("a reply has one part")
    return reply.parts[0]
