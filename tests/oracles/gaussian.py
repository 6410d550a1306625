"""A Gaussian mechanism small enough to be checked by eye: clip each client, noise the sum."""

from dataclasses import dataclass

import torch

from ufgraphfr.core.keys import Key
from ufgraphfr.core.messages import Report
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
        assert isinstance(value, torch.Tensor)
        norms = value.flatten(1).norm(dim=1).view(-1, *[1] * (value.dim() - 1))
        return {name: value * (self.clip / norms).clamp(max=1)}

    def finalize(self, report: Report, key: Key) -> Report:
        generator = torch.Generator().manual_seed(1000 * self.test_seed + key.round)
        arrays = {
            name: value + torch.randn(value.shape, generator=generator) * self.noise * self.clip
            for name, value in report.total().arrays.items()
        }
        return Report(report.round, report.clients, arrays, True, report.loss)
