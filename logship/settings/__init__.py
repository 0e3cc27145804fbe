"""The configuration: what can be set, declared as data, and how a YAML file becomes frozen `Settings`."""
