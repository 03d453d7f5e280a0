"""Tools: what is run beside a feed; nothing imports them.

cli.py      the command line
doctor.py   what fastfeed finds on this machine, and what to change
bench/      fastfeed beside what people have today
"""
