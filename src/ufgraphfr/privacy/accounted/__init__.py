"""What a guarantee rests on: clipping, noise, accounting, the ledger and the statement."""
