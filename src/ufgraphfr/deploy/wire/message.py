"""What travels between server and shard agents: a small header, and parts in safetensors.

The header holds schema, run, round, node and nonce and the SHA-256 of every part, so that a reply
that was cut short, changed, meant for another round or sent twice is refused before it is decoded.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.versions import Schema

SCHEMA = Schema("wire")
MAX_HEADER_BYTES = 2**16
MAX_NAME, MAX_ROUND = 128, 2**31
"""Letters of a name, and the first number that no round has: both end on an agent's disk."""

Kind = Literal["hello", "train", "confirm", "evaluate", "publish"]
Code = Literal["ok", "refused", "missing", "failed"]
"""``refused``: outside the agreement; ``missing``: an array it should have cached is gone;
``failed``: the agent could not do it. The agent's own log says why; a reply never does."""


class Malformed(ValueError):
    """Not an envelope, or not the one that was asked for."""


class RefusedRequest(Malformed):
    """The agent would not."""


class MissingArray(ValueError):
    """The agent does not have an array that was left out of the request: it must be sent again."""


@dataclass(frozen=True)
class Envelope:
    """One message.

    Attributes:
        kind: what is asked.
        agreement: digest of the agreement that both sides hold.
        run: name of the run.
        round: from 1; 0 before the first.
        node: whom it is for, or from.
        nonce: chosen for each request and repeated in its reply.
        code: of a reply; ``ok`` in a request.
        facts: further public values.
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
    def part_digests(self) -> list[str]:
        """SHA-256 of each part; parts may be large, so it is computed once."""
        return [hashlib.sha256(part).hexdigest() for part in self.parts]

    @property
    def size(self) -> int:
        """Bytes that travel."""
        return sum(map(len, pack(self)))

    @property
    def digest(self) -> str:
        """SHA-256 of the request, the same however often it is sent."""
        keys = ("kind", "agreement", "run", "round", "node")
        # the first part holds what the digests name, without what the node has already
        content = {key: getattr(self, key) for key in keys}
        content |= {"shared": self.facts.get("shared"), "own": self.part_digests[1:]}
        if "secure" in self.facts:
            content["secure"] = self.facts["secure"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


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
        Malformed: it is none, of a newer schema, or damaged.
    """
    if not chunks or len(chunks[0]) > MAX_HEADER_BYTES:
        raise Malformed("no header, or one that is too long")
    try:
        header = json.loads(chunks[0])
    except (ValueError, RecursionError):
        raise Malformed("the header is not JSON") from None
    if not isinstance(header, dict) or "schema" not in header:
        raise Malformed("the header names no schema")
    try:
        header = SCHEMA.read(header, "the message")
    except InputError as error:
        raise Malformed(str(error)) from None
    if header.keys() != {"parts", *_FIELDS}:
        raise Malformed("the header has other fields")
    # bool is an int to Python, not to us
    if any(type(header[name]) is not kind for name, kind in _FIELDS.items()):
        raise Malformed("a field of the header is of another type")
    names = [value for value in header.values() if isinstance(value, str)]
    if not all(len(name) <= MAX_NAME and name.isascii() and name.isprintable() for name in names):
        raise Malformed("a name is too long, or not of plain letters")
    if not 0 <= header["round"] < MAX_ROUND:
        raise Malformed("no such round")
    envelope = Envelope(**{name: header[name] for name in _FIELDS}, parts=tuple(chunks[1:]))
    if header["parts"] != envelope.part_digests:
        raise Malformed("the parts do not have the digests in the header")
    return envelope


class FailedRequest(Malformed):
    """The agent could not answer now, and may if it is asked again."""


REASONS = {
    "input": "what it holds or agreed to cannot be used; agent status there says why",
    "restored": "its folder was restored from a copy that is older than its payments, and may not "
    "release again: its operator puts a copy in place with agent restore",
    "barred": "its folder was restored from a copy, and it sits this run out; it takes part in the "
    "next one",
    "unsigned": "its operator has not signed the amendment off: agent agree DIGEST there",
}
"""What an agent may say of a failure: words fixed here, nothing of its data."""


def matched(request: Envelope, chunks: list[bytes]) -> Envelope:
    """The reply, if it is one to this request.

    Raises:
        MissingArray: see there.
        Malformed: it is for another one, or says that the agent would or could not.
    """
    if not chunks:
        raise FailedRequest("its SuperNode got no answer from the agent: see that it runs there")
    reply = unpack(chunks)
    if reply.code != "ok" and not reply.nonce:
        raise Malformed("the agent could not read the request: its audit log says why")
    if replace(reply, code="ok", facts={}, parts=()) != replace(request, facts={}, parts=()):
        raise Malformed("a reply to another request")
    if reply.code == "missing":
        raise MissingArray
    if reply.code != "ok":
        known = REASONS.get(
            str(reply.facts.get("reason")), "its audit log and agent status say why"
        )
        lasting = reply.facts.get("reason") == "input"
        wrong = (
            RefusedRequest if reply.code == "refused" else Malformed if lasting else FailedRequest
        )
        raise wrong(f"the agent answered '{reply.code}': {known}")
    return reply


def _header(envelope: Envelope) -> dict[str, Any]:
    fields = {name: getattr(envelope, name) for name in _FIELDS}
    return SCHEMA.write({**fields, "parts": envelope.part_digests})
