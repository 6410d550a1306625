"""Shuffled samples against a sort in plain Python."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ufgraphfr.ops.samples import shuffled


@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    drawn=st.integers(1, 3),
    high=st.sampled_from([3, 2**32]),
    seed=st.integers(0, 2**31),
)
def test_samples_are_sorted_by_their_words(
    counts: list[int], drawn: int, high: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    clients, length = len(counts), max(counts)
    positives = torch.randint(100, (clients, length), generator=generator)
    negatives = torch.randint(100, 200, (clients, length, drawn), generator=generator)
    words = torch.randint(high, (clients, length * (1 + drawn)), generator=generator)
    samples = shuffled(positives, torch.tensor(counts), negatives, words)

    assert samples.counts.tolist() == [count * (1 + drawn) for count in counts]
    for client, count in enumerate(counts):
        # (item, time, label): each positive, then the negatives drawn for it
        listed = [
            sample
            for time in range(count)
            for sample in [
                (int(positives[client, time]), time, 1.0),
                *((item, time, 0.0) for item in negatives[client, time].tolist()),
            ]
        ]
        # equal words (few words: many ties) keep the listed order
        order = sorted(range(len(listed)), key=lambda place: int(words[client, place]))
        taken = slice(0, count * (1 + drawn))
        result = zip(
            samples.item[client, taken].tolist(),
            samples.time[client, taken].tolist(),
            samples.positive[client, taken].tolist(),
            strict=True,
        )
        assert list(result) == [listed[place] for place in order]
        assert (samples.item[client, taken.stop :] == -1).all()
