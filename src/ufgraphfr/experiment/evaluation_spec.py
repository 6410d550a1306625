"""The ``[evaluation]`` table: when and what is evaluated."""

from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ufgraphfr.core.spec import Spec
from ufgraphfr.evaluation.metrics import SHOWN, metric, with_defaults
from ufgraphfr.evaluation.metrics.base import Metric, RankMetric

SAMPLED_FROM, SAMPLED_USERS = 50_000, 10_000
"""From so many users on, a sample of so many tells NDCG@10 to about .003."""


class EvaluationSpec(Spec):
    """When and what is evaluated; the ``[evaluation]`` table."""

    every: int = Field(5, ge=1)
    """Rounds between two evaluations on validation; a checkpoint is written with each."""
    table: Literal["received", "local"] | None = None
    """Short for the algorithm's ``evaluated_table``."""
    baselines: tuple[str, ...] = ()
    """Centralised recommenders to evaluate beside the algorithm."""
    metrics: tuple[str, ...] = SHOWN
    """What tables show, as in ``hr@10``; a result holds these and the defaults."""
    users: int | None = Field(None, ge=1)
    """Who is asked for validation and test, at most: a sample drawn by a fixed seed. None: all
    users of fewer than 50,000, and 10,000 of more. A given split asks whom it names, unless
    a number is named here."""
    chunk: int = Field(128, ge=1)
    """Clients scored at once; bounds memory, changes no result."""

    renamed: ClassVar[dict[str, str]] = {"yardsticks": "baselines"}

    @field_validator("baselines", "metrics", mode="before")
    @classmethod
    def _listed(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, list | tuple):
            example = '["popularity", "ease"]' if info.field_name == "baselines" else '["hr@10"]'
            raise ValueError(f"must be a list, as in {example}")
        return value

    @field_validator("metrics")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        # one name for each, however it was written
        return tuple(dict.fromkeys(metric(name).name for name in value))

    def asked(self, users: int) -> int | None:
        """How many of so many users are asked; None for all of them."""
        most = self.users or (SAMPLED_USERS if users >= SAMPLED_FROM else users)
        return most if most < users else None

    @property
    def computed(self) -> tuple[Metric, ...]:
        """The metrics of a result."""
        return with_defaults(self.metrics)

    @property
    def sent(self) -> tuple[Metric, ...]:
        """Those that a deployment computes: no counts of single items leave a node."""
        always = with_defaults()
        kept = (each for each in self.computed if isinstance(each, RankMetric) or each in always)
        return tuple(kept)
