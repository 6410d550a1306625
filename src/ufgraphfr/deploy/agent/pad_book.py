"""A node's pad key, and the record of what it was used for: no pad is ever used twice.

A line is on the disk before the masked reply leaves, and says which reply: the same one may be
sent again, and no other. Who has lost lines has lost the proof that a pad is fresh, so the *epoch*,
which all pads are bound to, changes with the record. It is made of a token, of the record's first
line, and of the inode and change time of the token's file, which a copy put back does not have.
"""

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import append_line, write_atomically
from ufgraphfr.deploy.agent.answers import Refused
from ufgraphfr.deploy.wire.pads import PadUse, make_key, public_half

Line = dict[str, Any]


class PadBook:
    """The pad key and the record of one shard."""

    def __init__(self, folder: Path) -> None:
        """Names the files; `make` makes the key."""
        self.key_file, self._token, self._record = (
            folder / name for name in ("pad.key", "pads.epoch", "pads.jsonl")
        )

    def make(self) -> str:
        """Make the key, and return its public half.

        Raises:
            InputError: there is one.
        """
        if self.key_file.exists():
            raise InputError(
                f"{self.key_file} is there already: whoever made it can take this node's masks "
                f"off; remove it, unless you made it here yourself"
            )
        self.key_file.parent.mkdir(parents=True, exist_ok=True)
        key = make_key()
        handle = os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key)
        return public_half(key)

    def key(self, agreed: str) -> bytes:
        """The private key.

        Args:
            agreed: its public half in the agreement.

        Raises:
            InputError: it is missing, or another one was agreed on.
        """
        try:
            found = self.key_file.read_bytes()
            if public_half(found) == agreed:
                return found
        except (OSError, ValueError):
            pass
        raise InputError(
            f"{self.key_file} is not the pad key that was agreed on for this node: put the one "
            f"that was made here in its place, or agree anew with its public half"
        )

    @property
    def epoch(self) -> str:
        """64 hexadecimal digits; others after the record was lost or put back."""
        if not self._token.exists() or self._lines()[:1] != [{"epoch": self._token.read_text()}]:
            # a record without its token, or the other way round, proves nothing
            token = secrets.token_hex(32)
            write_atomically(self._record, json.dumps({"epoch": token}).encode() + b"\n", sync=True)
            write_atomically(self._token, token.encode(), sync=True)
        about = self._token.stat()
        told = f"{self._token.read_text()} {about.st_ino} {about.st_ctime_ns}"
        return hashlib.sha256(told.encode()).hexdigest()

    def noted(self, use: PadUse) -> bool:
        """Whether there is a line of it."""
        return self._used(use) is not None

    def check_unused(self, use: PadUse) -> None:
        """No reply has left under these pads.

        Raises:
            Refused: one has.
        """
        if self.noted(use):
            raise Refused(f"the pads of round {use.round} were used: they are not used again")

    def note(self, use: PadUse, reply: bytes, asked: str) -> None:
        """Write down that a reply leaves under some pads, before it does.

        Args:
            use: of the pads.
            reply: what leaves.
            asked: digest of what was asked for, whatever the attempt.

        Raises:
            Refused: another one has left.
        """
        before, digest = self._used(use), hashlib.sha256(reply).hexdigest()
        if before is None:
            told = {"nodes": sorted(use.epochs), "reply": digest, "asked": asked}
            append_line(self._record, json.dumps(self._line(use) | told).encode() + b"\n")
        elif before["reply"] != digest or before["nodes"] != sorted(use.epochs):
            raise Refused(f"another reply left under the pads of round {use.round}")

    def check_follows(self, use: PadUse, asked: str) -> None:
        """A later attempt is of fewer nodes than the one before, and of the same question.

        Args:
            use: of the attempt.
            asked: see `note`; empty where the question has not come yet.

        Raises:
            Refused: it is not, or this node answered no attempt before.
        """
        own = {name: value for name, value in self._line(use).items() if name != "attempt"}
        last = max(
            (line for line in self._lines() if own.items() <= line.items()),
            key=lambda line: int(line["attempt"]),
            default=None,
        )
        if last is None or last["attempt"] >= use.attempt:
            raise Refused(f"attempt {use.attempt} at round {use.round} follows on no answer")
        if not use.epochs.keys() < set(last["nodes"]):
            raise Refused(f"attempt {use.attempt} is of nodes that are not those which are left")
        if asked and last.get("asked") != asked:
            raise Refused(f"attempt {use.attempt} asks for something else than the one before")

    def _line(self, use: PadUse) -> Line:
        names = ("agreement", "run", "round", "kind", "attempt")
        return {name: getattr(use, name) for name in names}

    def _used(self, use: PadUse) -> Line | None:
        own = self._line(use)
        return next((line for line in self._lines() if own.items() <= line.items()), None)

    def _lines(self) -> list[Line]:
        """Whole lines; one that a kill cut short was never followed by a reply."""
        if not self._record.exists():
            return []
        text = self._record.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            with self._record.open("r+b") as file:
                file.truncate(len(whole))
        return [json.loads(line) for line in whole.splitlines()]
