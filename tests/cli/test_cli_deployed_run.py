"""``audit``, ``privacy`` and ``compare`` on the run folder of a deployment's server."""

import json

import pytest
from small_federation import LocalEngine, federate, toy_values

BUDGET = {
    "algorithm": {"kind": "fedmf", "dim": 2},
    "federation": {"rounds": 1},
    "privacy": {
        "kind": "central-jdp",
        "epsilon": 1.0,
        "delta": 1e-4,
        "clip": 0.5,
        "trust": "shard",
        "shards": 2,
    },
}
CHANGES = {"exact sums": {}, "a budget": BUDGET}


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """The run folder at the server, finished."""
    made = {}

    def run(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("deployed") / "d"
            federation = federate(folder, toy_values(**CHANGES[name]))
            made[name] = federation.run(LocalEngine(federation.agents()))
        return made[name]

    return run


@pytest.mark.parametrize("name", ["exact sums", pytest.param("a budget", marks=pytest.mark.slow)])
def test_what_needs_no_rows_is_attacked_and_the_rest_is_named(cli, deployed, name):
    folder = deployed(name)
    ended = cli("audit", folder)
    assert ended.code == 0, ended.err
    assert "canaries, broadcast" in ended.out
    own = folder / "personal" if name == "a budget" else folder
    found = json.loads((own / "audit.json").read_text())
    assert {figure["attack"] for figure in found["figures"]} == {"canaries"}
    left_out = [line.split(":")[0] for line in found["nothing_to_attack"]]
    assert left_out == [
        *("attributes", "held-out", "imia", "intersection"),
        *("noninterference", "poisoning", "sign", "support"),
    ]
    assert all("rows, which are with the nodes" in each for each in found["nothing_to_attack"])
    assert any("invented clients took the users' place" in each for each in found["summary"])


@pytest.mark.slow
def test_the_agreed_noise_is_audited_in_what_a_node_sends_too(cli, deployed):
    cli("audit", deployed("a budget"), "--attack", "canaries")
    found = json.loads((deployed("a budget") / "personal" / "audit.json").read_text())
    epsilon = {
        each["reads"]: each["value"]
        for each in found["figures"]
        if each["measure"] == "epsilon, Gaussian estimate"
    }
    # two nodes add all of the noise, so the server sees half of mu in the sum of both
    assert 0.75 < epsilon["upload"] < 1.25
    assert epsilon["broadcast"] < 0.85 * epsilon["upload"]


@pytest.mark.parametrize("name", CHANGES)
def test_the_statement_and_the_page_are_those_of_the_ledger(cli, deployed, name, tmp_path):
    said = "epsilon = 1, delta = 1e-04: joint" if name == "a budget" else "No privacy guarantee"
    assert said in cli("privacy", deployed(name)).out
    assert cli("privacy", deployed(name), "--html", tmp_path / "p.html").code == 0
    assert json.loads(cli("privacy", deployed(name), "--json").out)["finished"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_report_tells_what_the_server_has_and_where_the_rest_is(cli, deployed, name, tmp_path):
    place = tmp_path / "report.html"
    ended = cli("report", deployed(name), "--out", place)
    assert (ended.code, ended.out, ended.err) == (0, f"wrote {place}\n", "")
    told = place.read_text()
    assert "on 2 nodes" in told
    assert "Ranks of users are not here: they stay on the devices" in told
    assert "Not computed: the users&#x27; rows are with the nodes." in told
    shared = cli("report", deployed(name), "--public", "--out", place)
    assert shared.code == (0 if name == "a budget" else 2)


def test_reports_on_several_deployments_compare_them(cli, deployed, tmp_path):
    folders = [deployed(name) for name in CHANGES]
    assert cli("report", *folders, "--out", tmp_path / "both.html").code == 0
    assert "Comparison" in (tmp_path / "both.html").read_text()


def test_metrics_that_the_nodes_let_out_are_compared_without_ranks(cli, deployed):
    ended = cli("compare", deployed("exact sums"), deployed("a budget"), "--test", "--json")
    assert ended.code == 0, ended.err
    rows = json.loads(ended.out)
    assert 0 <= rows[0]["full.ndcg@10"] <= 1
    assert not any("against first" in key for row in rows for key in row)
    refused = cli("compare", deployed("exact sums"), "--test", "--at-most", 3)
    assert refused.code == 2
    assert "leave --at-most out" in refused.err


def test_a_run_folder_that_left_its_server_says_so(cli, deployed, tmp_path):
    moved = tmp_path / "moved"
    deployed("exact sums").rename(moved)
    try:
        ended = cli("audit", moved)
    finally:
        moved.rename(deployed("exact sums"))
    assert ended.code == 2
    assert "agreement.toml" in ended.err
