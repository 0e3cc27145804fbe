"""The language of the configuration file: YAML as a tree, kinds of values, and how each is written."""
