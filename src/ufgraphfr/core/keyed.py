"""Digests that only who has a key can check: of personal data, a plain one confirms a guess."""

import hashlib
import hmac
import secrets
from pathlib import Path

from ufgraphfr.core.folders import write_atomically

BYTES = 32


def key_at(path: Path) -> bytes:
    """The key in a file that only its owner may read, made once; it belongs beside the data."""
    if not path.exists():
        # a new file of this function has mode 600
        write_atomically(path, secrets.token_bytes(BYTES))
    return path.read_bytes()


def keyed(key: bytes, text: str) -> str:
    """The HMAC-SHA256 of a text, which says that it is one."""
    return f"hmac-sha256:{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"
