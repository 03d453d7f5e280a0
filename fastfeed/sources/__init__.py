"""Sources: where samples come from, what they are called, and their labels.

source.py    samples by index, and the table by which workers find them
listing.py   files of a folder or a glob
labels.py    one label for each sample, of any kind

A source is made in the consumer; workers see only its table, which the kernel reads (csrc/source).
"""
