"""The Universal Sentence Encoder knows what words mean."""

from ufgraphfr.text.use import Use


def test_synonyms_and_translations_are_closer_than_another_occupation() -> None:
    doctor, physician, spanish, farmer = Use().encode(
        [
            "The user is a doctor.",
            "The user is a physician.",
            "El usuario es médico.",
            "The user is a farmer.",
        ]
    )
    assert doctor @ physician > 0.9
    assert doctor @ spanish > 0.9
    assert doctor @ farmer < 0.7
