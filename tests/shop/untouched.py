"""A module that must not be imported by asking for it as a target."""

raise AssertionError("imported, although no rule could have allowed it")
