"""An agent's reply to one request."""

import json
import logging
import sqlite3
import time
from dataclasses import replace

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.answers import Barred, Refused, Restored, Unsigned
from ufgraphfr.deploy.agent.array_cache import ArrayCache
from ufgraphfr.deploy.agent.backup import BARRED
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.handlers import Handlers, Holding
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.store import ShardStore, settled_in
from ufgraphfr.deploy.agreement.chain import Documents, read_agreement, read_documents
from ufgraphfr.deploy.agreement.document import Agreement
from ufgraphfr.deploy.agreement.masked import is_masked
from ufgraphfr.deploy.agreement.software import check_software
from ufgraphfr.deploy.wire.message import Envelope, Malformed, MissingArray, pack, unpack
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.privacy.accounted.ledger import BudgetSpent, Ledger
from ufgraphfr.privacy.accounted.statement import in_words

logger = logging.getLogger(__name__)
UNREAD = Envelope("hello", "", "", 0, "", "")
"""Stands for a request that could not be read."""
AMENDMENT = "amendment"
"""Counter of the last amendment that the server asked under."""
MAX_AUDIT_BYTES = 16 * 2**20
"""Of the audit log; a longer one becomes ``audit.1.jsonl``, in the place of the one before."""
MAX_REASON = 500
"""Letters of a line in the audit log: some of them are a caller's."""


class Agent:
    """Answers requests for one shard."""

    def __init__(self, folder: ShardFolder) -> None:
        """Opens the shard.

        Raises:
            InputError: the folder is not one.
        """
        self._folder = folder
        self._name, signed, _ = folder.signed()
        folder.check_users_are_here()
        self._store = ShardStore(folder.database)
        # the file that is open, by which a file in its place is told
        self._file = folder.database.stat().st_ino
        self._cache, self._ledger = ArrayCache(folder.public), Ledger(folder.ledger)
        self._models = Models(folder.models)
        self._act_by(self._documents(self._acted_by(signed)))

    def _acted_by(self, signed: Agreement) -> str:
        """Digest of the document that the server last asked under, or the first for this node."""
        number = self._store.counter(AMENDMENT)
        here = self._name
        joined = [a.number for a in signed.amendments if here in {node.name for node in a.join}]
        return signed.digests[min(max(number, *joined, 0), len(signed.amendments))]

    def _documents(self, digest: str) -> Documents:
        """What is agreed on as of a document.

        Raises:
            InputError: a file was changed, or this release is too old for it.
        """
        documents = read_documents(self._folder.agreement, self._folder.catalogue, digest)
        check_software(documents.agreement)
        return documents

    def _act_by(self, documents: Documents) -> None:
        """Answer by these documents from now on, and for the run that is pinned."""
        self._agreement, catalogue = documents
        self._run = _going_on(self._store.answers.pinned(self._agreement.root))
        if self._run and self._agreement.lifetime is not None:
            # with a promise of its own
            self._ledger.begin(self._run)
        holding = Holding(self._store, self._cache, self._agreement, catalogue, self._ledger)
        self._handlers = Handlers(holding)
        if is_masked(self._agreement.experiment):
            # its keys need the extra that nodes of other agreements can do without
            from ufgraphfr.deploy.agent.masked_handlers import MaskedHandlers

            self._handlers = MaskedHandlers(holding, self._folder.path, self._name)

    def _signed(self, digest: str) -> Documents:
        """A later document, which the server asks under for the first time.

        Raises:
            Unsigned: it lies here, and nobody has signed it off.
            Refused: it does not lie here, or others were acted on since.
        """
        if digest in self._agreement.digests:
            raise Refused("a document that was amended since")
        if digest in self._folder.signed()[1].digests:
            logger.info("going on under %s", digest)
            return self._documents(digest)
        if digest in read_agreement(self._folder.agreement).digests:
            raise Unsigned("an amendment that is not signed off here: agent agree signs it")
        raise Refused("another agreement than the one signed off here")

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
        except (Restored, Unsigned, Barred) as error:
            # the server is told, for it has to stop asking, or to wait
            why = type(error).__name__.lower()
            reply, reason = request.reply(code="refused", facts={"reason": why}), str(error)
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
        path = self._folder.database
        if not path.exists() or path.stat().st_ino != self._file:
            raise InputError(f"{path} was removed or replaced while the agent ran: start it anew")
        same = request.agreement == self._agreement.digest
        documents = None if same else self._signed(request.agreement)
        if request.node != self._name or request.code != "ok":
            raise Refused("a request for another node")
        self._check_not_barred(request)
        continued = self._continued(request)
        # at once: a run that began under an amendment has a promise by it
        with self._store.transaction():
            if documents is not None:
                self._store.raise_counter(AMENDMENT, len(documents.agreement.amendments))
            self._store.answers.pin(self._agreement.root, request.run, continued)
        if documents is not None or _going_on(request.run) != self._run:
            self._act_by(documents or self._documents(request.agreement))
        self._check_not_restored(request)
        self._settle(request)
        if request.kind == "hello":
            return self._handlers.hello(request)
        if request.kind == "evaluate":
            return self._evaluated(request)
        if request.kind == "train":
            return self._once(request)
        if request.kind == "confirm":
            return self._handlers.confirm(request)
        if request.kind == "publish":
            return self._published(request)
        raise Refused("no such kind of request")

    def _continued(self, request: Envelope) -> Release | None:
        """The release that a new run goes on from."""
        digest = request.facts.get("continues")
        first = not self._store.answers.pinned(self._agreement.root)
        if request.kind != "hello" or digest is None or first:
            # a node that joined begins with whatever run there is
            return None
        for number in reversed(self._models.numbers):
            if (release := self._models.release(number)).digest == digest:
                return release
        raise Refused("the run goes on from a release that is not here: deploy publish sends it")

    def _check_not_barred(self, request: Envelope) -> None:
        """A run that a copy may lack a part of is not answered again; its model may come."""
        _, _, number = request.run.partition(".")
        began = int(number) if number.isdecimal() else 0
        if request.kind != "publish" and began < self._store.counter(BARRED):
            raise Barred(
                "the shard was restored from a copy, and sits out a run that it may have answered"
            )

    def _check_not_restored(self, request: Envelope) -> None:
        """Ledger and database are no older than what the server has seen, and than each other."""
        seen = request.facts.get("ledger")
        if seen is not None and not (isinstance(seen, dict) and self._ledger.follows(seen)):
            raise Restored(
                f"{self._folder.ledger} lacks payments that the server has seen: the folder was "
                f"restored from a copy; agent restore puts one in place that may go on"
            )
        run, store = request.run, self._store
        kept = max(store.answers.last_trained(run), store.counter(settled_in(run)))
        rounds = self._agreement.experiment.federation.rounds
        # metrics that are paid for come after the last round
        paid = [spend["round"] for spend in self._ledger.spends if spend["round"] <= rounds]
        if kept < max(paid, default=0):
            raise Restored(
                f"{self._folder.database} lacks replies that {self._folder.ledger} paid for: it "
                f"was restored from a copy; agent restore puts one in place that may go on"
            )

    def _once(self, request: Envelope) -> Envelope:
        """Train for a round, once: the same request gets the same reply again."""
        where = (request.run, request.round, request.kind)
        before = self._store.answered(*where)
        if before is not None and before[0] != request.digest:
            if not self._handlers.repeats(request):
                raise Refused("another request for a round that was answered")
            before = None
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
        if release.agreement not in self._agreement.digests or release.run != request.run:
            raise Refused("a release of another agreement or run")
        promised = (
            in_words(self._ledger.guarantee) or self._agreement.experiment.mechanism.guarantee
        )
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
        path = self._folder.audit
        try:
            if path.exists() and path.stat().st_size > MAX_AUDIT_BYTES:
                path.replace(path.with_suffix(".1.jsonl"))
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            logger.error("the audit log cannot be written: %s", error.strerror)


def _going_on(run: str) -> str:
    """The name of a run that goes on from a release; empty for an agreement's first."""
    return run if "." in run else ""
