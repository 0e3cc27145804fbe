"""A dry run over a log: what would be sent, what would not and why, what it would cost. Sends nothing."""
