"""The folder of one shard, and what its operator has signed off in it."""

from pathlib import Path

from ufgraphfr.core.errors import InputError
from ufgraphfr.core.folders import write_atomically
from ufgraphfr.data.catalogue import Catalogue
from ufgraphfr.deploy.agent.store import ShardStore
from ufgraphfr.deploy.agent.users import Imported, import_table
from ufgraphfr.deploy.agreement.amendment import Amendment
from ufgraphfr.deploy.agreement.chain import Documents, place_of, read_agreement, read_documents
from ufgraphfr.deploy.agreement.document import Agreement


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
        # there once users were: a shard that lost them does not begin anew by itself
        self.held = path / "held"
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

    @property
    def name(self) -> str:
        """The name of this node.

        Raises:
            InputError: the folder is none.
        """
        if not self.node.exists():
            raise InputError(f"{self.path} is no shard: name a folder that deploy init wrote")
        return self.node.read_text(encoding="utf-8").strip()

    def signed(self) -> tuple[str, Agreement, Catalogue]:
        """The name of this node, the agreement as far as it is signed off, and its catalogue.

        Before the first signature it is the agreement as it lies here.

        Raises:
            InputError: a file is missing, unreadable, or not the one that was agreed on.
        """
        name, agreement = self.name, read_agreement(self.agreement)
        agreed = self._agreed()
        until = agreed if agreed in agreement.digests else None
        documents = read_documents(self.agreement, self.catalogue, until)
        documents.agreement.node(name)
        return name, *documents

    def documents_of(self, digest: str) -> Documents:
        """The documents as of one of them; as far as they are signed off if it is another's.

        Raises:
            InputError: see `signed`.
        """
        _, agreement, catalogue = self.signed()
        if digest not in agreement.digests:
            return Documents(agreement, catalogue)
        return read_documents(self.agreement, self.catalogue, digest)

    @property
    def is_signed(self) -> bool:
        """Whether the operator has signed off the agreement that lies here, as far as it goes."""
        return self._agreed() in read_agreement(self.agreement).digests

    def unsigned(self) -> tuple[Amendment, ...]:
        """Amendments that lie here and are not signed off; none before the first signature."""
        agreement = read_agreement(self.agreement)
        if self._agreed() not in agreement.digests:
            return ()
        return agreement.amendments[agreement.digests.index(self._agreed()) :]

    def sign(self, digest: str) -> None:
        """Sign off the last document that lies here, by the digest that its parties exchanged.

        It names the one before it, so that this signs all that came before, too.

        Raises:
            InputError: the document that lies here is another one, or does not know this node.
        """
        agreement, _ = read_documents(self.agreement, self.catalogue)
        last = len(agreement.amendments)
        path = place_of(self.agreement, last)[0] if last else self.agreement
        if digest.strip().lower() != agreement.digest:
            raise InputError(
                f"'{digest}' is not the digest of {path}, which is {agreement.digest}: nothing was "
                f"signed; ask the other parties which of the two was agreed on"
            )
        agreement.node(self.name)
        write_atomically(self.agreed, f"{agreement.digest}\n".encode())

    def _agreed(self) -> str:
        """What the operator signed; empty for nothing."""
        try:
            return self.agreed.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def import_table(self, interactions: Path, users: Path | None) -> Imported:
        """Load users' data into the shard, see `users.import_table`."""
        name, agreement, catalogue = self.signed()
        self.check_users_are_here()
        store = ShardStore(self.database)
        done = import_table(store, agreement, catalogue, name, interactions, users)
        self.held.touch()
        return done

    def check_users_are_here(self) -> None:
        """Check that a database which held users is still there.

        Raises:
            InputError: it is not.
        """
        if self.held.exists() and not self.database.exists():
            raise InputError(
                f"{self.database} held users and is gone: move the rest away and put a copy in "
                f"place with agent restore, or remove {self.held} to begin an empty shard, which "
                f"forgets what was spent on whom"
            )
