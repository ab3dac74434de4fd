"""Networks that are healthy and networks that are not, as users bring them, to judge rules by.

Owns the networks, their data and what would be a right answer. Knows no threshold of any rule.
"""
