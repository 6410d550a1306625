"""Requests that wait for a model are answered in one pass over it.

A model takes little longer for a few people than for one. So whoever finds it free answers, with
the own request, all that came meanwhile; under load passes grow, and requests do not queue up. It
is flat combining: Hendler et al., "Flat combining and the synchronization-parallelism tradeoff",
SPAA 2010.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from ufgraphfr.serve.recommender import Recommender
from ufgraphfr.serve.requests import Answer, Request

_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class _Waiting:
    request: Request
    found: tuple[Recommender, Answer] | Exception | None = None


class Together:
    """Answers requests of many threads; no more wait than there are threads."""

    def __init__(self, now: Callable[[], Recommender]) -> None:
        """Takes what says, once for each pass, what answers now."""
        self._now, self._free, self._waiting = now, Lock(), deque[_Waiting]()

    def answer(self, request: Request) -> tuple[Recommender, Answer]:
        """What answered, and its answer.

        Raises:
            InputError: see `Recommender.answer`; what goes wrong with one request is its own.
        """
        if request.why:
            # the reasons take a multiple of the list, and nobody else shall wait for them
            recommender = self._now()
            return recommender, recommender.answer(request)
        own = _Waiting(request)
        self._waiting.append(own)
        with self._free:
            # who had it before may have answered this one as well
            if own.found is None:
                self._pass()
        if own.found is None or isinstance(own.found, Exception):
            raise own.found or AssertionError("a pass answers all that wait")
        return own.found

    def _pass(self) -> None:
        some = [self._waiting.popleft() for _ in range(len(self._waiting))]
        try:
            recommender = self._now()
        except Exception as error:
            # each thread raises it to who asked; one without an answer would have nothing to tell
            for each in some:
                each.found = error
            return
        answers = _answers(recommender, [each.request for each in some])
        for each, answer in zip(some, answers, strict=True):
            each.found = answer if isinstance(answer, Exception) else (recommender, answer)


def _answers(recommender: Recommender, requests: Sequence[Request]) -> list[Answer | Exception]:
    try:
        return [*recommender.answers(requests)]
    except Exception as error:
        if len(requests) == 1:
            return [error]
        # a fault that one of them brings about is not the others'; that of their being together,
        # which nobody meets alone, is told here
        name = type(error).__name__
        _LOG.warning("%s for %d requests together: each goes alone", name, len(requests))
        return [each for one in requests for each in _answers(recommender, [one])]
