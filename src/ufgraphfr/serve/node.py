"""A node's service over HTTP: its users for apps that have a token, anybody by a history.

A process of its own beside the agent, so that nobody waits for training. What the agent changes (a
release, an import, a forgotten person) is there with the next request.
"""

import logging
from threading import Lock
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from ufgraphfr.core.errors import InputError
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.deploy.agent.models import Models
from ufgraphfr.deploy.agent.store import version_of
from ufgraphfr.deploy.agent.tokens import Tokens
from ufgraphfr.deploy.wire import unix_socket
from ufgraphfr.deploy.wire.release import Release
from ufgraphfr.serve.http import Name, Wanted, answered, create_app
from ufgraphfr.serve.people import UnknownUser
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.together import Together

_LOG = logging.getLogger(__name__)
State: TypeAlias = tuple[int, int, bytes]
"""The number of a release, the version of the users' data, and what is signed off."""
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


class WantedOfUser(Wanted):
    """What is asked for of a user of the node, whose history and profile are here."""

    user: Name


class ServedNode:
    """See `Serving`: the release that a node serves, with its users as they are now."""

    def __init__(self, folder: ShardFolder) -> None:
        """Load the release and the users.

        Raises:
            InputError: there is none, or it cannot be served.
        """
        self._folder, self._models = folder, Models(folder.models)
        self.tokens = Tokens(folder.tokens)
        self._lock = Lock()
        self._loaded = self._load()
        self.together = Together(lambda: self.recommender)

    @property
    def recommender(self) -> Recommender:
        """Of the release and the users as they are now."""
        return self._now()[2]

    @property
    def version(self) -> str:
        """The release and its digest."""
        release = self._now()[1]
        return f"release {release.number}, {release.digest[:12]}"

    @property
    def guarantee(self) -> str:
        """What the release promises."""
        return self._now()[1].guarantee

    @property
    def statement(self) -> str:
        """The same on a page."""
        return self._now()[1].statement

    @property
    def beside(self) -> dict[str, str]:
        """Whether the node's agent, which answers the server, listens."""
        try:
            agent = "listens" if unix_socket.listens(self._folder.socket) else "does not run"
        except OSError:
            agent = "may not be asked by this account"
        return {"agent": agent}

    def _now(self) -> tuple[State, Release, Recommender]:
        with self._lock:
            if self._loaded[0] != self._state():
                try:
                    self._loaded = self._load()
                except InputError as error:
                    # its text names files: it is for the operator
                    _LOG.error("%s", error)
                    said = "the node's release cannot be read: its operator's log says why"
                    raise HTTPException(503, said) from None
            return self._loaded

    def _load(self) -> tuple[State, Release, Recommender]:
        # first: what changes while it is read is read again
        state = self._state()
        recommender = Recommender.at_node(self._folder)
        recommender.warm()
        return state, self._models.release(state[0]), recommender

    def _state(self) -> State:
        path, agreed = self._folder.database, self._folder.agreed
        version = version_of(path) if path.exists() else 0
        return self._models.current or 0, version, agreed.read_bytes() if agreed.exists() else b""


def create_node_app(node: ServedNode) -> FastAPI:
    """The application that serves a node."""
    app = create_app(node)

    @app.post("/users/recommend")
    def recommend(wanted: WantedOfUser, bearer: Bearer) -> dict[str, Any]:
        """The best items for a user of this node, for an app that has a token of it."""
        if bearer is None or not node.tokens.accepts(bearer.credentials):
            raise HTTPException(401, "give a token of this node, Authorization: Bearer TOKEN")
        try:
            return answered(*node.together.answer(wanted.asked))
        except UnknownUser:
            # whose names are like it is nobody's business
            raise HTTPException(404, "no such user at this node") from None

    return app
