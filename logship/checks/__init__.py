"""What `logship check` looks at beyond the configuration file: this machine, its logs, and every destination."""
