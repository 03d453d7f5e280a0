"""Ragged sequences of integers, padded to a maximum length."""

from __future__ import annotations

import re

import numpy as np

import fastfeed as ff


def encode(text, vocabulary):
    """Return a text as the numbers of its words; 1 for those that are not in the vocabulary."""
    return [vocabulary.get(word, 1) for word in re.findall(r"\w+", text.lower())]


def sequence_batches(texts, targets, vocabulary, maxlen, batch_size):
    """Yield (batch, maxlen) int32 arrays with their targets; texts that are too long lose their end."""
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        ids = np.zeros((len(batch), maxlen), np.int32)
        for row, text in enumerate(batch):
            sequence = encode(text, vocabulary)[:maxlen]
            ids[row, : len(sequence)] = sequence
        yield ids, np.array(targets[start : start + batch_size])


# ---- with fastfeed ----


def fast(texts, targets, vocabulary, maxlen, batch_size, **engine):
    """Cut texts and targets alike into runs of eight batches: the very same stream."""
    run = ff.parallel(sequence_batches, split=("texts", "targets"), split_size=8 * batch_size, **engine)
    return run(texts, targets, vocabulary, maxlen, batch_size)


def mapped(texts, targets, vocabulary, maxlen, batch_size, **engine):
    """Do without the generator: one text in, one sequence out, and the padding is left to `pad`."""

    def sample(pair):
        text, target = pair
        return encode(text, vocabulary), target

    pairs = list(zip(texts, targets, strict=True))
    return ff.map(sample, pairs, batch_size=batch_size, collate=ff.pad(maxlen, dtype="int32"), **engine)
