"""Generators as people write them, each unchanged above the line, and what fastfeed makes of it below."""
