"""A Gaussian mechanism small enough to be checked by eye: clip each client, noise the sum."""

from dataclasses import dataclass, replace

import torch

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Aggregation, Report, one_row
from ufgraphfr.privacy.base import Arrays, Mechanism


@dataclass(frozen=True)
class Gaussian(Mechanism):
    clip: float
    noise: float
    """Standard deviation of the noise on the sum, in units of the clip."""
    test_seed: int = 0

    def privatize(self, arrays: Arrays, clients: torch.Tensor, key: Key) -> Arrays:
        (name, value), *more = arrays.items()
        assert not more
        values = value.values
        norms = values.flatten(1).norm(dim=1).view(-1, *[1] * (values.dim() - 1))
        return {name: value.with_values(values * (self.clip / norms).clamp(max=1))}

    def finalize(self, report: Report, key: Key) -> Report:
        generator = torch.Generator().manual_seed(1000 * self.test_seed + key.round)
        noised = {
            name: value + torch.randn(value.shape, generator=generator) * self.noise * self.clip
            for name, value in report.sums.items()
        }
        return replace(report, arrays=one_row(noised), aggregation=Aggregation.SUM)
