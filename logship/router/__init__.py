"""What becomes of a record: ordered rules, people told from machines, events made."""
