"""Collating: many items become one batch.

collate.py     the batch that alike items make
pad.py         the same, for sequences of several lengths
structure.py   what the items must have in common, and the words for where they differ
batch.py       memory of a batch that fills up as its items come

Runs in function workers, row by row into the slot, and in the consumer where num_workers=0.
"""
