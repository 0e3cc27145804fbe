"""How an event gets there: lanes, attempts, verdicts, acknowledgements."""
