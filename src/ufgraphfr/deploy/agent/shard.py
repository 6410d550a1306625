"""The folder of one shard, and an agent's reply to one request."""

import json
import logging
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.deploy.agent.answers import Refused, Restored
from ufgraphfr.deploy.agent.array_cache import ArrayCache
from ufgraphfr.deploy.agent.handlers import Handlers
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.store import ShardStore, settled_in
from ufgraphfr.deploy.agent.users import Imported, import_table
from ufgraphfr.deploy.agreement.document import Agreement, read_documents
from ufgraphfr.deploy.wire.message import Envelope, Malformed, MissingArray, pack, unpack
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.privacy.accounted.ledger import BudgetSpent, Ledger
from ufgraphfr.privacy.accounted.statement import in_words

logger = logging.getLogger(__name__)
UNREAD = Envelope("hello", "", "", 0, "", "")
"""Stands for a request that could not be read."""
MAX_REASON = 500
"""Letters of a line in the audit log: some of them are a caller's."""


class ShardFolder:
    """The files of one shard."""

    def __init__(self, path: Path) -> None:
        """Names the folder."""
        self.path = path
        # what the operator signed off, and the public items
        self.agreement, self.catalogue = path / "agreement.toml", path / "catalogue.json"
        # the digest that the operator typed
        self.agreed = path / "agreed"
        # the name of this node
        self.node = path / "node"
        # the users' data and private state
        self.database = path / "shard.sqlite"
        # releases of the model
        self.models = path / "models"
        # arrays that the server sent and need not send again
        self.public = path / "public"
        # what has been spent of this shard's budget; nothing is ever removed
        self.ledger = path / "ledger.jsonl"
        # apps that may ask for its users, see `Tokens`
        self.tokens = path / "tokens.json"
        # where the agent listens
        self.socket = path / "agent.sock"
        # one JSON object for each request: what was asked, and how it ended
        self.audit = path / "audit.jsonl"

    def signed(self) -> tuple[str, Agreement, Catalogue]:
        """The name of this node, the agreement, and the catalogue it names.

        Raises:
            InputError: a file is missing, unreadable, or not the one that was agreed on.
        """
        if not self.node.exists():
            raise InputError(f"{self.path} is no shard: name a folder that deploy init wrote")
        name = self.node.read_text(encoding="utf-8").strip()
        agreement, catalogue = read_documents(self.agreement, self.catalogue)
        agreement.node(name)
        return name, agreement, catalogue

    @property
    def is_signed(self) -> bool:
        """Whether the operator has signed off the agreement that lies here now."""
        try:
            return self.agreed.read_text(encoding="utf-8").strip() == self.signed()[1].digest
        except (OSError, UnicodeDecodeError):
            return False

    def sign(self, digest: str) -> None:
        """Sign the agreement off, by the digest that its parties told each other.

        Raises:
            InputError: the agreement that lies here is another one.
        """
        here = self.signed()[1].digest
        if digest.strip().lower() != here:
            raise InputError(
                f"'{digest}' is not the digest of {self.agreement}, which is {here}: nothing was "
                f"signed; ask the other parties which of the two was agreed on"
            )
        write_atomically(self.agreed, f"{here}\n".encode())

    def import_table(self, interactions: Path, users: Path | None) -> Imported:
        """Load users' data into the shard, see `users.import_table`."""
        name, agreement, catalogue = self.signed()
        store = ShardStore(self.database)
        return import_table(store, agreement, catalogue, name, interactions, users)


class Agent:
    """Answers requests for one shard."""

    def __init__(self, folder: ShardFolder) -> None:
        """Opens the shard.

        Raises:
            InputError: the folder is not one.
        """
        self._folder = folder
        self._name, self._agreement, catalogue = folder.signed()
        self._store = ShardStore(folder.database)
        cache, self._ledger = ArrayCache(folder.public), Ledger(folder.ledger)
        self._handlers = Handlers(self._store, cache, self._agreement, catalogue, self._ledger)
        self._models = Models(folder.models)

    def answer(self, chunks: list[bytes]) -> list[bytes]:
        """Answer one request; the audit log alone says why one was refused."""
        started, request, reason = time.perf_counter(), UNREAD, ""
        try:
            request = unpack(chunks)
            reply = self._checked(request)
            if self._ledger.entries:
                reply = replace(reply, facts=reply.facts | {"ledger": self._ledger.head})
        except MissingArray as error:
            reply, reason = request.reply(code="missing"), str(error)
        except Restored as error:
            # the server is told, for it has to stop asking
            reply = request.reply(code="refused", facts={"reason": "restored"})
            reason = str(error)
        except (Refused, Malformed, BudgetSpent) as error:
            reply, reason = request.reply(code="refused"), str(error)
        except (OSError, sqlite3.Error, MemoryError) as error:
            reply, reason = request.reply(code="failed"), f"{type(error).__name__}: {error}"
        except InputError as error:
            # the text stays here; the server learns only where to look
            reply = request.reply(code="failed", facts={"reason": "input"})
            reason = str(error)
        except Exception as error:
            logger.exception("a request failed")
            reply, reason = request.reply(code="failed"), type(error).__name__
        self._log(request, reply, reason, time.perf_counter() - started)
        return pack(reply)

    def _checked(self, request: Envelope) -> Envelope:
        if request.agreement != self._agreement.digest:
            raise Refused("another agreement than the one signed off here")
        if request.node != self._name or request.code != "ok":
            raise Refused("a request for another node")
        self._store.answers.pin(request.agreement, request.run, self._continued(request))
        self._check_not_restored(request)
        self._settle(request)
        if request.kind == "hello":
            return self._handlers.hello(request)
        if request.kind == "evaluate":
            return self._evaluated(request)
        if request.kind == "train":
            return self._once(request)
        if request.kind == "publish":
            return self._published(request)
        raise Refused("no such kind of request")

    def _continued(self, request: Envelope) -> Release | None:
        """The release that a new run goes on from."""
        digest = request.facts.get("continues")
        if request.kind != "hello" or digest is None:
            return None
        for number in reversed(self._models.numbers):
            if (release := self._models.release(number)).digest == digest:
                return release
        raise Refused("the run goes on from a release that is not here: deploy publish sends it")

    def _check_not_restored(self, request: Envelope) -> None:
        """Ledger and database are no older than what the server has seen, and than each other."""
        seen = request.facts.get("ledger")
        if seen is not None and not (isinstance(seen, dict) and self._ledger.follows(seen)):
            raise Restored(
                f"{self._folder.ledger} lacks payments that the server has seen: the folder was "
                f"restored from a copy, and may not release again; agree anew"
            )
        run, store = request.run, self._store
        kept = max(store.answers.last_trained(run), store.counter(settled_in(run)))
        rounds = self._agreement.experiment.federation.rounds
        # metrics that are paid for come after the last round
        paid = [spend["round"] for spend in self._ledger.spends if spend["round"] <= rounds]
        if kept < max(paid, default=0):
            raise Restored(
                f"{self._folder.database} lacks replies that {self._folder.ledger} paid for: it "
                f"was restored from a copy, and may not release again; agree anew"
            )

    def _once(self, request: Envelope) -> Envelope:
        """Train for a round, once: the same request gets the same reply again."""
        where = (request.run, request.round, request.kind)
        before = self._store.answered(*where)
        if before is not None and before[0] != request.digest:
            raise Refused("another request for a round that was answered")
        # a reply is empty once somebody was forgotten whose part it held
        if before is not None and before[1]:
            reply = request.reply(before[1])
        else:
            with self._store.transaction():
                reply = self._handlers.train(request)
                self._store.keep_reply(*where, request.digest, reply.parts[0])
        # killed before this, the reply waits; killed after it, it is paid for and waits
        self._handlers.pay(request, reply.parts[0])
        return reply

    def _evaluated(self, request: Envelope) -> Envelope:
        """Evaluate what was agreed on, once: the same request gets the same reply again."""
        asked = self._handlers.evaluation(request)
        before = self._store.answers.evaluated(asked)
        if before is not None:
            reply = request.reply(before)
        else:
            with self._store.transaction():
                reply = self._handlers.evaluate(request, asked.part)
                self._store.answers.keep(asked, reply.parts[0])
        if self._agreement.metrics == "noised":
            # as in `_once`
            self._handlers.pay(request, reply.parts[0])
        return reply

    def _published(self, request: Envelope) -> Envelope:
        """Keep a release of the run that was agreed on; the same one may come again."""
        release = Release.of(request.facts.get("release"))
        if (release.agreement, release.run) != (request.agreement, request.run):
            raise Refused("a release of another agreement or run")
        promised = in_words(self._ledger.claim) or self._agreement.experiment.mechanism.guarantee
        if release.guarantee != promised:
            raise Refused("the release promises something else than was agreed on")
        shared = self._handlers.published(request, release)
        self._models.keep(release, shared, request.parts[1])
        return request.reply(facts={"release": release.digest})

    def _settle(self, request: Envelope) -> None:
        settled, best = (request.facts.get(name, 0) for name in ("settled", "best"))
        if type(settled) is not int or type(best) is not int:
            raise Refused("rounds are integers")
        if not 0 <= best <= settled <= self._agreement.experiment.federation.rounds:
            raise Refused("no such rounds to settle")
        if settled:
            self._store.settle(request.run, settled, best)

    def _log(self, request: Envelope, reply: Envelope, reason: str, seconds: float) -> None:
        line = {
            "time": round(time.time(), 3),
            "kind": "" if request is UNREAD else request.kind,
            "run": request.run,
            "round": request.round,
            "code": reply.code,
            "reason": reason[:MAX_REASON],
            "seconds": round(seconds, 3),
            "bytes_down": sum(map(len, request.parts)),
            "bytes_up": sum(map(len, reply.parts)),
        }
        try:
            with self._folder.audit.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            logger.error("the audit log cannot be written: %s", error.strerror)
