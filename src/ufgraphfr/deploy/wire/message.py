"""What travels between server and shard agents: a small header, and parts in safetensors.

The header says run, round, node and nonce and carries the SHA-256 of every part, so that a reply
that was cut short, changed, meant for another round or sent twice is told before it is decoded.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

SCHEMA = "ufgraphfr-wire-1"
MOST_HEADER = 2**16

Kind = Literal["hello", "train", "evaluate"]
Code = Literal["ok", "refused", "missing", "failed"]
"""``refused``: outside the agreement; ``missing``: a part it was to remember is gone;
``failed``: the agent could not do it. The agent's own log says why; a reply never does."""


class Malformed(ValueError):
    """Not an envelope; the message names the rule and no value."""


class Forgotten(ValueError):
    """The agent no longer has an array that was left out of the request."""


@dataclass(frozen=True)
class Envelope:
    """One message.

    Attributes:
        kind: what is asked.
        agreement: digest of the agreement that both sides pinned.
        run: name of the run.
        round: from 1; 0 before the first.
        node: whom it is for, or from.
        nonce: chosen for each request and repeated in its reply.
        code: of a reply; ``ok`` in a request.
        facts: further public words and numbers.
        parts: encoded arrays.
    """

    kind: Kind
    agreement: str
    run: str
    round: int
    node: str
    nonce: str
    code: Code = "ok"
    facts: dict[str, Any] = field(default_factory=dict)
    parts: tuple[bytes, ...] = ()

    def reply(
        self, *parts: bytes, code: Code = "ok", facts: dict[str, Any] | None = None
    ) -> "Envelope":
        """An answer to this request."""
        return replace(self, code=code, facts=facts or {}, parts=parts)

    @cached_property
    def seals(self) -> list[str]:
        """SHA-256 of each part; parts may be large, so it is computed once."""
        return [hashlib.sha256(part).hexdigest() for part in self.parts]

    @property
    def size(self) -> int:
        """Bytes that travel."""
        return sum(map(len, pack(self)))

    @property
    def digest(self) -> str:
        """SHA-256 of the question: the same one has the same digest, however often it is asked."""
        said = ("kind", "agreement", "run", "round", "node")
        header = {key: value for key, value in _header(self).items() if key in said}
        # the first part only brings what the digests name, and may leave out what is known
        header |= {"shared": self.facts.get("shared"), "own": self.seals[1:]}
        return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()


_FIELDS: dict[str, type] = {
    "kind": str,
    "agreement": str,
    "run": str,
    "round": int,
    "node": str,
    "nonce": str,
    "code": str,
    "facts": dict,
}


def pack(envelope: Envelope) -> list[bytes]:
    """The header and the parts, as bytes."""
    return [json.dumps(_header(envelope)).encode(), *envelope.parts]


def unpack(chunks: list[bytes]) -> Envelope:
    """An envelope from its bytes.

    Raises:
        Malformed: it is none, of another schema, or damaged.
    """
    if not chunks or len(chunks[0]) > MOST_HEADER:
        raise Malformed("no header, or one that is too long")
    try:
        header = json.loads(chunks[0])
    except (ValueError, RecursionError):
        raise Malformed("the header is not JSON") from None
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise Malformed("another schema")
    if header.keys() != {"schema", "parts", *_FIELDS}:
        raise Malformed("the header has other fields")
    # bool is an int to Python, not to us
    if any(type(header[name]) is not kind for name, kind in _FIELDS.items()):
        raise Malformed("a field of the header is of another type")
    found = Envelope(**{name: header[name] for name in _FIELDS}, parts=tuple(chunks[1:]))
    if header["parts"] != found.seals:
        raise Malformed("the parts are not those that were sealed")
    return found


def matched(request: Envelope, chunks: list[bytes]) -> Envelope:
    """The reply, if it is one to this request.

    Raises:
        Forgotten: something that was left out must be sent again.
        Malformed: it is for another one, or says that the agent would or could not.
    """
    reply = unpack(chunks)
    if replace(reply, code="ok", facts={}, parts=()) != replace(request, facts={}, parts=()):
        raise Malformed("a reply to another request")
    if reply.code == "missing":
        raise Forgotten
    if reply.code != "ok":
        raise Malformed(f"the agent answered '{reply.code}'")
    return reply


def _header(envelope: Envelope) -> dict[str, Any]:
    fields = {name: getattr(envelope, name) for name in _FIELDS}
    return {"schema": SCHEMA, **fields, "parts": envelope.seals}
