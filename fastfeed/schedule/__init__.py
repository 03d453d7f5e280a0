"""The schedule: which samples make up which batch, in which order.

schedule.py   a pure function of (n, seed, epoch, shard, batch_size, k)
order.py      what the user said about the order: weights.py, sampler.py, or a permutation
rest.py       what is left of an epoch
progress.py   how far epochs are delivered
cursor.py     where a feed stands in it
state.py      that as plain values, and back: saved states
plan.py       a feed's batches as a pure function, picklable
job.py        the consumer's half of every feed whose units are the batches of a schedule (images, arrays)

Nothing here stores an order: a position is asked for, and a keyed permutation answers.
"""
