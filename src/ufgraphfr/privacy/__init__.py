"""Mechanisms: one file each. Dropping a file in here makes it a ``[privacy] kind``."""

from ufgraphfr.core.spec import Registry
from ufgraphfr.privacy.base import PrivacySpec

MECHANISMS: Registry[PrivacySpec] = Registry(__name__, PrivacySpec, "privacy mechanism")  # type: ignore[type-abstract]
