"""``ufgraphfr agent recommend``: lists for the users of a node, whose data stay there."""

from typing import Annotated

import typer

from ufgraphfr.cli import recommend as lists
from ufgraphfr.cli.recommend import Wanted, respond
from ufgraphfr.deploy.agent.folder import ShardFolder
from ufgraphfr.serve.recommender import Recommender


def recommend(
    context: typer.Context,
    user: Annotated[str | None, typer.Argument(help="The user's name in the tables.")] = None,
    history: lists.History = None,
    profile: lists.Profile = None,
    similar: lists.Similar = None,
    users: lists.Users = None,
    out: lists.Out = None,
    n: lists.Count = 10,
    exclude: lists.Exclude = None,
    where: lists.Where = None,
    seen: lists.Seen = False,
    why: lists.Why = False,
    at: lists.At = None,
    as_json: lists.AsJson = False,
) -> None:
    """Recommend items to a user of this node, to anybody by what they have, or to all its users.

    The release that this node serves scores what its database holds; nothing of either leaves it.
    """
    folder: ShardFolder = context.obj
    wanted = Wanted(user, history, profile, similar, users, out, n, exclude, where, seen, why, at)
    respond(lambda: Recommender.at_node(folder), wanted, as_json, "USER")
