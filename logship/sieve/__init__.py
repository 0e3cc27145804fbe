"""One source's parser and rules, joined: chunks of lines in, survivors and counts out."""
