"""Sentence encoders: one file each, frozen. Dropping a file in here makes it a ``[text] kind``."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.text._cache import embed, embed_distinct
from ufgraphfr.text.base import Encoder

ENCODERS: Registry[Encoder] = Registry(__name__, Encoder, "text encoder")  # type: ignore[type-abstract]

__all__ = ["ENCODERS", "Encoder", "embed", "embed_distinct"]
