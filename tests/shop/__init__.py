"""An app for the tests of targets: one of each kind of function that somebody might try to schedule."""
