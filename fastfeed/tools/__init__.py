"""Tools: what is run beside a feed, or in its place to compare; nothing imports them.

cli.py      the command line
doctor.py   what fastfeed finds on this machine, and what to change
replay.py   the same batches again and again: a loop that waits for nobody
bench/      fastfeed beside what people have today
"""
