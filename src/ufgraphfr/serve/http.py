"""The service over HTTP: the engine of `serve.recommender`, its page, and nothing kept.

History and profile come with each request and go with its answer: no access log, no store, no user
of the data can be asked for by id. Errors are problem documents (RFC 9457).
"""

import logging
import time
from collections import Counter, defaultdict
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ufgraphfr
from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.finished import Run
from ufgraphfr.experiment.run_folder import RunFolder
from ufgraphfr.privacy.accounted.statement import statement
from ufgraphfr.serve.problems import DOCUMENTED, HEADERS, LimitedBody, add_problems
from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Answer
from ufgraphfr.serve.requests import Request as Asked
from ufgraphfr.serve.together import Together

MOST_ITEMS, MOST_LISTED, MOST_BATCH = 5_000, 500, 100
Name = Annotated[str, Field(max_length=500)]
_LOG = logging.getLogger(__name__)


class Wanted(BaseModel):
    """What is asked for; the words are those of the command line and of Python."""

    model_config = ConfigDict(extra="forbid")

    history: list[Name] = Field([], max_length=MOST_ITEMS, description="Ids or titles.")
    profile: dict[Name, Name] = Field({}, max_length=50)
    n: int = Field(10, ge=1, le=MOST_LISTED)
    exclude: list[Name] = Field([], max_length=MOST_ITEMS, description="Ids or titles.")
    where: dict[Name, list[Name]] = Field({}, max_length=50)
    seen: bool = False
    why: bool = False

    @property
    def asked(self) -> Asked:
        """The same for the engine."""
        return Asked(**self.model_dump())


class Batch(BaseModel):
    """Several requests."""

    model_config = ConfigDict(extra="forbid")

    requests: list[Wanted] = Field(min_length=1, max_length=MOST_BATCH)


class Serving(Protocol):
    """A version of a model, as it is served now."""

    @property
    def version(self) -> str:
        """Its name."""

    @property
    def guarantee(self) -> str:
        """What is promised of it, in a sentence."""

    @property
    def statement(self) -> str:
        """The same on a page."""

    @property
    def recommender(self) -> Recommender:
        """What answers."""

    @property
    def together(self) -> Together:
        """The same, for requests that come at the same time."""

    @property
    def beside(self) -> dict[str, str]:
        """How what it depends on is, for ``/health``."""


class Served:
    """The run that is served; another version takes its place between two requests."""

    def __init__(self, folder: Path, data_dir: Path | None = None) -> None:
        """Load a run.

        Raises:
            InputError: it cannot be served.
        """
        self._folder, self._data_dir = folder, data_dir
        self.load()
        self.together = Together(lambda: self.recommender)

    @property
    def beside(self) -> dict[str, str]:
        """It depends on nothing."""
        return {}

    def load(self) -> None:
        """Load what the folder, or what it links to, holds now; if that fails, nothing changes."""
        # a link may be turned to another run while this one is read
        run = Run(self._folder.resolve())
        recommender = Recommender.of(run, self._data_dir)
        recommender.warm()
        self.version: str = run.folder.name
        self.guarantee: str = run.result["guarantee"]
        self.statement = statement(RunFolder(run.folder).read_ledger())
        self.recommender = recommender

    def reload(self) -> None:
        """As `load`; what went wrong is logged, and the old version stays."""
        try:
            self.load()
        except (InputError, OSError) as error:
            _LOG.error("the version before is served on: %s", error)
        else:
            _LOG.warning("now serving %s", self.version)


def answered(recommender: Recommender, found: Answer | InputError) -> dict[str, Any]:
    """What was found, for JSON.

    Raises:
        InputError: that is what was found.
    """
    if isinstance(found, InputError):
        raise found
    return {
        "history": recommender.named(found.history),
        "notes": found.notes,
        "recommended": [each.facts for each in found.recommended],
    }


def create_app(served: Serving) -> FastAPI:
    """The application that serves a run."""
    app = FastAPI(
        title="ufgraphfr",
        version=ufgraphfr.__version__,
        description="Recommendations; nothing of a request is kept.",
        # their pages ask other hosts for scripts
        docs_url=None,
        redoc_url=None,
        responses=DOCUMENTED,
    )
    app.add_middleware(LimitedBody)
    add_problems(app)
    _add_counting(app)
    _add_answers(app, served)
    _add_facts(app, served)
    return app


def _add_counting(app: FastAPI) -> None:
    """What is counted, by route alone, and what every answer carries."""
    counts, seconds = Counter[tuple[str, int]](), defaultdict[str, float](float)
    app.add_middleware(_Counted, counts=counts, seconds=seconds)

    @app.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> str:
        """Requests and their time by route, as Prometheus reads it."""
        lines = ["# TYPE ufgraphfr_requests_total counter"]
        for (route, status), count in sorted(counts.items()):
            labels = f'{{route="{route}",status="{status}"}}'
            lines.append(f"ufgraphfr_requests_total{labels} {count}")
        lines.append("# TYPE ufgraphfr_request_seconds_total counter")
        for route, total in sorted(seconds.items()):
            lines.append(f'ufgraphfr_request_seconds_total{{route="{route}"}} {total:.6f}')
        return "\n".join(lines) + "\n"


class _Counted:
    """Counts requests and their time; a function as middleware would take a millisecond each."""

    def __init__(
        self, app: ASGIApp, counts: Counter[tuple[str, int]], seconds: defaultdict[str, float]
    ) -> None:
        self._app, self._counts, self._seconds = app, counts, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        start, status = time.perf_counter(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            if scope["type"] == "http":
                route = getattr(scope.get("route"), "path", "other")
                self._counts[route, status] += 1
                self._seconds[route] += time.perf_counter() - start


def _add_answers(app: FastAPI, served: Serving) -> None:
    """What programs and the page ask for."""

    @app.post("/recommend")
    def recommend(wanted: Wanted) -> dict[str, Any]:
        """The best items for a history and a profile, neither of which is kept."""
        return answered(*served.together.answer(wanted.asked))

    @app.post("/recommend/batch")
    def batch(wanted: Batch) -> dict[str, Any]:
        """Several answers at once, in the order of the requests."""
        recommender = served.recommender
        answers = recommender.answers([each.asked for each in wanted.requests])
        return {"answers": [answered(recommender, each) for each in answers]}

    @app.get("/similar/{item:path}")
    def similar(item: str, n: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 10) -> dict[str, Any]:
        """What goes with an item, by id or title."""
        found = served.recommender.similar(item, n)
        return {"similar": item, "recommended": [each.facts for each in found]}

    @app.get("/items")
    def items(
        query: Annotated[str, Query(max_length=500)] = "",
        n: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 10,
    ) -> dict[str, Any]:
        """Items whose titles or ids are most like a query."""
        own = served.recommender
        return {"items": own.named(own.items.search(query, n))}


def _add_facts(app: FastAPI, served: Serving) -> None:
    """What is served, and the page."""

    @app.get("/health")
    def health() -> dict[str, str]:
        """That it serves, and what."""
        facts = {"status": "ok", "run": served.version, "version": ufgraphfr.__version__}
        return facts | served.beside

    @app.get("/privacy", response_class=PlainTextResponse)
    def privacy() -> str:
        """The statement of the guarantee."""
        return served.statement

    @app.get("/guarantee")
    def guarantee() -> dict[str, str]:
        """The guarantee in a sentence."""
        return {"guarantee": served.guarantee}

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return files("ufgraphfr.serve").joinpath("page.html").read_text(encoding="utf-8")
