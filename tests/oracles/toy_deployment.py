"""An experiment for `deploy init --try-out`, as its file: small enough for every test."""

TOY = """
seed = 3
[data]
kind = "synthetic"
users = 30
items = 40
interactions = 8
[text]
kind = "hashing"
width = 16
[algorithm]
kind = "fedmf"
dim = 4
[federation]
rounds = 4
"""
