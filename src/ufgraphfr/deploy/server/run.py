"""A deployment's run, from its folder to its result; whatever engine carries the envelopes."""

import logging
from contextlib import closing

from ufgraphfr.core.errors import InputError
from ufgraphfr.data.catalogue import read_catalogue
from ufgraphfr.deploy.agreement.document import read_agreement
from ufgraphfr.deploy.server.folder import ServerFolder
from ufgraphfr.deploy.server.handshake import await_nodes, greet
from ufgraphfr.deploy.server.metrics import Tally
from ufgraphfr.deploy.server.participants import Roster
from ufgraphfr.deploy.server.prometheus import Exporter
from ufgraphfr.deploy.server.remote_clients import Remote
from ufgraphfr.deploy.wire.engine import Post
from ufgraphfr.experiment.runner import execute

logger = logging.getLogger(__name__)


def conduct(folder: ServerFolder, post: Post) -> None:
    """Start the run of a folder, or go on with it.

    Raises:
        InputError: why it cannot be run; `deploy watch` shows it too.
    """
    terms = folder.terms()
    agreement, catalogue = read_agreement(folder.agreement), read_catalogue(folder.catalogue)
    tally = Tally(folder.tally, agreement.experiment.federation.rounds)
    with closing(Exporter(folder.tally, terms.metrics_port)):
        try:
            if not folder.roster.exists():
                greet(agreement, post, terms).write(folder.roster)
            roster = Roster.read(folder.roster)
            if not (folder.run / "result.json").exists():
                await_nodes(set(roster.clients), post, terms)
            tally.began(len(roster.clients), sum(map(len, roster.clients.values())))
            people = Remote(agreement, catalogue, post, terms, roster, tally)
            steps = execute(
                agreement.experiment, folder.run, resume=True, device="cpu", population=people
            )
            for step in steps:
                tally.progress(step)
        except InputError as error:
            tally.end(str(error))
            raise
        except Exception as error:
            tally.end(f"{type(error).__name__}: see the server's log")
            raise
        tally.end("finished")
