"""Pictures of an audit: nothing of them is cut off."""

from matplotlib.image import imread

from ufgraphfr.audit.attacks.base import Finding
from ufgraphfr.audit.plots import draw
from ufgraphfr.audit.report import Audit, Guarantee, judge

GUARANTEE = Guarantee(1.0, 1e-5, 0.575)
TRUST = "untrusted server, 4 trusted data holders"
STATEMENT = f"user-level (1, 1e-05)-joint differential privacy (zero-out adjacency); {TRUST}"


def test_no_title_or_label_reaches_the_edge(tmp_path):
    measure = "own items from rows that move more with the client than in those without it: AUC"
    points = {"in": (0.1, 0.7, 0.9), "out": (0.0, 0.2, 0.3)}
    found = Finding("broadcast", measure, 0.55, 0.5, 0.5, bounded=True, points=points)
    shown = (judge("canaries", "?", found, GUARANTEE),)
    name = "private-ml100k-shards-with-a-long-name"
    audit = Audit(name, "ufgraphformer", "jdp", STATEMENT, GUARANTEE, 2, 50, shown, ())
    for path in draw(audit, tmp_path):
        ink = imread(path)[..., :3].min(axis=2) < 0.9
        edges = (ink[:2], ink[-2:], ink[:, :2], ink[:, -2:])
        assert ink.any()
        assert not any(edge.any() for edge in edges)
