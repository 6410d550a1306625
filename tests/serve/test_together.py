"""Requests that wait are answered in one pass, each as if it were alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ufgraphfr.core.errors import InputError
from ufgraphfr.serve.requests import Answer, Request
from ufgraphfr.serve.together import Together

LONG = 10


class Engine:
    """Answers with what was asked, when it is let, and knows how many it was asked at once."""

    def __init__(self):
        self.let, self.asked = threading.Event(), threading.Event()
        self.passes = []

    def answers(self, requests):
        self.passes.append(len(requests))
        self.asked.set()
        assert self.let.wait(LONG)
        if any(each.n == 13 for each in requests):
            raise RuntimeError("a fault")
        return [InputError("no") if each.n == 7 else Answer([each.n], [], []) for each in requests]

    def answer(self, request):
        return Answer([request.n], [], [])


@pytest.fixture
def engine():
    return Engine()


def waiting(together, count):
    """Once so many requests wait."""
    for _ in range(1000):
        if len(together._waiting) == count:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"{len(together._waiting)} wait")


def asked(engine, together, pool, numbers):
    """Futures of a first request, which holds the engine, and of others that wait for it."""
    first = pool.submit(together.answer, Request(n=1))
    assert engine.asked.wait(LONG)
    others = [pool.submit(together.answer, Request(n=number)) for number in numbers]
    waiting(together, len(numbers))
    return [first, *others]


def test_what_waits_is_answered_in_one_pass(engine):
    together, numbers = Together(lambda: engine), [2, 3, 4, 5, 6]
    with ThreadPoolExecutor(8) as pool:
        found = asked(engine, together, pool, numbers)
        engine.let.set()
        assert [each.result(LONG)[1].history for each in found] == [[n] for n in [1, *numbers]]
    assert engine.passes == [1, 5]
    assert together.answer(Request(n=9))[0] is engine
    assert engine.passes == [1, 5, 1]


@pytest.mark.parametrize(("number", "error"), [(7, InputError), (13, RuntimeError)])
def test_what_goes_wrong_with_one_is_its_own(engine, number, error):
    together = Together(lambda: engine)
    with ThreadPoolExecutor(8) as pool:
        _, before, wrong, after = asked(engine, together, pool, [2, number, 3])
        engine.let.set()
        assert [before.result(LONG)[1].history, after.result(LONG)[1].history] == [[2], [3]]
        with pytest.raises(error):
            wrong.result(LONG)
        assert pool.submit(together.answer, Request(n=4)).result(LONG)[1].history == [4]


def test_without_a_model_nobody_is_answered_and_nobody_waits():
    def broken():
        raise InputError("damaged")

    together = Together(broken)
    for _ in range(2):
        with pytest.raises(InputError, match="damaged"):
            together.answer(Request())


def test_reasons_are_looked_for_beside(engine):
    together = Together(lambda: engine)
    with ThreadPoolExecutor(8) as pool:
        asked(engine, together, pool, [2])
        assert pool.submit(together.answer, Request(n=5, why=True)).result(LONG)[1].history == [5]
        engine.let.set()
