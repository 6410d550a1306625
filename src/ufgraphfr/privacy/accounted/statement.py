"""A run's guarantee on one page, made from its ledger alone, for somebody who has to sign it."""

from collections.abc import Iterator

from ufgraphfr.privacy.accounted import accounting
from ufgraphfr.privacy.accounted.guarantee import Guarantee, events
from ufgraphfr.privacy.accounted.ledger import Ledger
from ufgraphfr.privacy.accounted.verified import verified

WHO = {
    "server": (
        "whoever sees only what the server broadcasts: other users, however many join forces, and "
        "anybody to whom the model is given. Not against the server itself: it is trusted to clip, "
        "add up, add the noise and forget each user's own update, which it sees un-noised."
    ),
    "shard": (
        "whoever sees what data holders send, the server included, and what it broadcasts. Each "
        "data holder is trusted with its own users, as it is already, and adds the full noise to "
        "the sum over them before anything leaves it."
    ),
    "secure-sum": (
        "whoever sees what the server receives and broadcasts, the server included, even with as "
        "many data holders on its side as are named below. Each data holder is trusted with its "
        "own users; it adds its share of the noise and a mask that only the total of all takes off."
    ),
    "device": "everybody: each device noises its own numbers before they leave it.",
}


def proven(guarantee: Guarantee | None) -> Guarantee | None:
    """The guarantee as numbers; None without one."""
    if guarantee is None or guarantee["epsilon"] is None:
        return None
    return guarantee


def in_words(guarantee: Guarantee | None) -> str | None:
    """The guarantee in one line; None if nothing was accounted for."""
    if guarantee is None:
        return None
    if guarantee["epsilon"] is None:
        return "no privacy guarantee (noise from a seed, for tests)"
    trust = {"server": "trusted server", "device": "nobody trusted"}
    if guarantee["trust"] == "secure-sum":
        trust["secure-sum"] = (
            f"untrusted server sees the total of {guarantee['shards']} data holders alone, "
            f"{guarantee['tolerate']} of whom may join it "
            f"(epsilon {guarantee['epsilon_all_others']:.3g} if all others do)"
        )
    shards = f"untrusted server, {guarantee['shards']} trusted data holders"
    return (
        f"user-level ({guarantee['epsilon']:.3g}, {guarantee['delta']:.0e})-{guarantee['promise']}"
        f"; {trust.get(guarantee['trust'], shards)}"
    )


def statement(ledger: Ledger) -> str:
    """The page, Markdown. Without a guarantee in the ledger it says so.

    Raises:
        InputError: the ledger's guarantee does not follow from its noise and releases.
    """
    guarantee = verified(ledger)
    if guarantee is None:
        return "# Privacy\n\nNo privacy guarantee: nothing was clipped, noised or accounted for.\n"
    if guarantee["epsilon"] is None:
        return (
            "# Privacy\n\nNo privacy guarantee: the noise came from a seed, for tests, and can be "
            "taken off again by whoever knows it.\n"
        )
    sections = (
        _promised(guarantee),
        _parts(guarantee, ledger),
        _assumptions(guarantee),
        _uncovered(guarantee),
    )
    return "\n".join(("# Privacy statement of this run", "", *(x for s in sections for x in s)))


def _promised(guarantee: Guarantee) -> Iterator[str]:
    yield "## What is promised"
    yield ""
    yield (
        f"**epsilon = {guarantee['epsilon']:.3g}, delta = {guarantee['delta']:.0e}: "
        f"{guarantee['promise']}.**"
    )
    yield ""
    clients = f"{guarantee['clients']:,} users"
    yield f"- Unit: {guarantee['unit']}, over the whole run, of each of {clients}."
    yield f"- Adjacency: {guarantee['adjacency']}."
    if guarantee.get("epsilon_replace_one") is not None:
        yield (
            f"- If a user's data were replaced by any others instead: epsilon = "
            f"{guarantee['epsilon_replace_one']:.3g} at the same delta."
        )
    yield f"- Trust: {guarantee['trust']}. It protects against {WHO[guarantee['trust']]}"
    if guarantee["trust"] == "secure-sum":
        yield (
            f"- Against the server with up to {guarantee['tolerate']} of the {guarantee['shards']} "
            f"data holders: epsilon = {guarantee['epsilon']:.3g}. Against the server with **all "
            f"other** data holders: epsilon = {guarantee['epsilon_all_others']:.3g}."
        )
    yield (
        f"- In words: whatever others learn of a user from this run, they would have come to "
        f"believe at most e^{guarantee['epsilon']:.3g} times as firmly or as doubtfully had the "
        f"user sent nothing, but for an event of probability {guarantee['delta']:.0e}."
    )
    yield ""


def _parts(guarantee: Guarantee, ledger: Ledger) -> Iterator[str]:
    yield "## What was released, and what it cost"
    yield ""
    yield "| part | rounds | a user takes part in | noise multiplier z | clip C | released |"
    yield "|---|---|---|---|---|---|"
    parts = guarantee["parts"]
    for name, part in parts.items():
        done = sum(spend["part"] == name for spend in ledger.spends)
        clip = part["clip"] if isinstance(part["clip"], str) else f"{part['clip']:.4g}"
        yield (
            f"| {name} | {part['releases']} | {_cohorts(part)} | {part['noise_multiplier']:.4g} | "
            f"{clip} | {done} |"
        )
    yield ""
    yield (
        f"The noise of a release is Gaussian with standard deviation z C on the sum over the "
        f"cohort{_of_shards(guarantee)}, rounded to a public grid and drawn exactly: its share of "
        f"delta is 0. Accountant: {guarantee['accountant']}. The ledger was charged before each "
        f"release and refuses any beyond these."
    )
    if repeats := [f"{n}: {part['repeats']}" for n, part in parts.items() if "repeats" in part]:
        yield (
            f"Of these, so many are a reserve for rounds that those data holders repeat who are "
            f"left after a loss: {', '.join(repeats)}."
        )
    yield ""
    if guarantee["why"]:
        yield "Why these parts:"
        yield ""
        yield from (f"- {line}" for line in guarantee["why"])
        yield ""


def _cohorts(part: Guarantee) -> str:
    if part["rate"] is not None:
        return f"each by a secret coin of {part['rate']:.3g}"
    return f"at most {part['participations']}"


def _of_shards(guarantee: Guarantee) -> str:
    if guarantee["trust"] == "secure-sum":
        honest = guarantee["shards"] - guarantee["tolerate"]
        return (
            f", of which each of {guarantee['shards']} data holders adds 1/{honest} of the variance"
        )
    return (
        f", once for each of {guarantee['shards']} data holders" if guarantee["shards"] > 1 else ""
    )


def _assumptions(guarantee: Guarantee) -> Iterator[str]:
    yield "## What it assumes"
    yield ""
    if any(part["rate"] is not None for part in guarantee["parts"].values()):
        yield (
            "- Each user's coin in each round is secret: amplification by sampling does not hold "
            "against whoever learns who took part (a server that asks them, for one)."
        )
    else:
        yield "- Nothing is claimed from sampling: who takes part may be known to everybody."
    if guarantee.get("uncovered"):
        yield "- The number of users was public before the run. What else counts as public: below."
    else:
        yield "- The catalogue, its features and the number of users were public before the run."
    yield from _one_person(guarantee)
    yield "- Clipping and noise ran as written; the operating system's generator is unpredictable."
    yield "- The rounds were fixed beforehand and the last one is the model: none was picked."
    yield ""


def _one_person(guarantee: Guarantee) -> Iterator[str]:
    """What follows where somebody is several users."""
    yield "- Each person is one user: what is promised holds for each of somebody's accounts alone."
    if guarantee["shards"] > 1:
        gaussians, noise = zip(*events(guarantee), strict=True)
        # in a total somebody's own parts add up; apart, each has noise of its own
        power = 1.0 if guarantee["trust"] == "secure-sum" else 0.5
        everywhere = [z / guarantee["shards"] ** power for z in noise]
        epsilon = accounting.spent(gaussians, everywhere, guarantee["delta"])
        yield (
            f"- Each person is with one data holder. For somebody who is with all "
            f"{guarantee['shards']}, epsilon = {epsilon:.3g}."
        )


def _uncovered(guarantee: Guarantee) -> Iterator[str]:
    yield "## What is not covered"
    yield ""
    yield from (f"- {sentence}" for sentence in uncovered(guarantee))
    yield "- Empirical lower bound: not measured by the run itself (`ufgraphfr audit`)."
    yield ""


def uncovered(guarantee: Guarantee) -> Iterator[str]:
    """What the guarantee does not cover, a sentence or two each."""
    yield (
        "Scores, private weights and histories on a user's own device: they never leave it here. "
        "Whoever holds the device or sees its recommendations learns from them."
    )
    yield (
        "Metrics and ranks in this folder: simulation computes them from held-out items for "
        "research. In a deployment they stay off, are a part 'metrics' of the guarantee, or were "
        "agreed on as sums without noise. Such a sum protects nobody from the server."
    )
    yield "Hyper-parameters: if they were tuned on these users' data, the tuning is not in epsilon."
    yield from guarantee.get("uncovered", ())
    yield "Facts about groups: what the model says of many people holds without any one of them."
    if guarantee["trust"] == "server":
        yield "The server, and whoever breaks into it during a round."
