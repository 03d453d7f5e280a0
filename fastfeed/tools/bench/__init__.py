"""What `fastfeed bench` is made of: photographs, sides to compare, their timing, and the report."""
