"""Sources: where samples come from, what they are called, and their labels.

choose.py                what the user gave, made a source; ff.files
files.py  encoded.py     the kinds of source; a new one is a file here and a line in choose.py
source.py                what they share: samples by index, and the table by which workers find them
listing.py               files of a folder or a glob
labels.py                one label for each sample, of any kind

Imports run down this list.  A source is made in the consumer; workers see only its table, which the kernel reads
(csrc/source).
"""
