"""Collating: many items become one batch.

collate.py   what the items must have in common, and the batch that they make; padding for ragged sequences

Runs in function workers, row by row into the slot, and in the consumer where num_workers=0.
"""
