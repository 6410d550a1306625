"""What goes wrong in rounds that go on is told once and counted."""

import math
from typing import Any

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.experiment.soundness import check_somebody, unsound, watched
from ufgraphfr.federation.loop import Round


def made(losses: list[float], rejected: dict[str, int] | None = None) -> list[Round]:
    facts: dict[str, Any] = dict.fromkeys(Round.__dataclass_fields__, 0.0)
    own = {"state": {}, "clients": 3, "rejected": rejected or {}, "released": None}
    rounds = enumerate(losses, start=1)
    return [Round(**{**facts, **own, "number": number, "loss": loss}) for number, loss in rounds]


def line(loss: float | None, clients: int = 3, **rejected: int) -> dict[str, Any]:
    return {"loss": loss, "clients": clients, "rejected": rejected}


def test_an_exploding_loss_is_told_once(caplog: Any) -> None:
    given = made([0.0, 0.5, 4.9, 5.1, 60.0, 2.0])
    assert list(watched(iter(given), is_private=False)) == given
    assert caplog.text.count("more than 10 times the first (0.5)") == 1
    assert "round 4" in caplog.text


def test_each_reason_of_a_rejection_is_told_once(caplog: Any) -> None:
    list(watched(iter(made([math.nan] * 3, {"shape": 2, "not finite": 1})), is_private=True))
    assert caplog.text.count("2 replies were rejected (shape)") == 1
    assert caplog.text.count("1 replies were rejected (not finite)") == 1
    assert "the loss is not finite" not in caplog.text


def test_the_result_counts_rounds_and_replies() -> None:
    lines = [line(0.0), line(0.5, shape=2), line(6.0, shape=1), line(None), line(None, clients=0)]
    found = unsound(lines, is_private=False)
    assert found == {"rejected": {"shape": 3}, "loss_not_finite": 1, "loss_exploded": 1}
    assert unsound([line(None)], is_private=True)["loss_not_finite"] == 0


def test_a_run_without_any_accepted_reply_is_an_error() -> None:
    check_somebody([line(None, clients=0, shape=3), line(0.5, clients=1)])
    with pytest.raises(InputError, match=r"any of 2 rounds.*5 rejected \(shape\)"):
        check_somebody([line(None, clients=0, shape=3), line(None, clients=0, shape=2)])
    with pytest.raises(InputError, match="nobody was asked or answered"):
        check_somebody([line(None, clients=0)])
