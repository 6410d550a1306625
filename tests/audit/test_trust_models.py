"""Every trust model that a claim may name is drawn, and said in words."""

from typing import get_args

from ufgraphfr.audit.privacy_page import SEES, drawing
from ufgraphfr.privacy.accounted.statement import WHO
from ufgraphfr.privacy.central_jdp import CentralJDP


def test_every_trust_model_has_words_and_a_drawing() -> None:
    named = {*get_args(CentralJDP.model_fields["trust"].annotation), "device"}
    assert named == set(WHO) == set(SEES) - {None}
    assert "sees the noised total only" in drawing("secure-sum")
