"""logship turns web-server access logs into Plausible analytics."""

__version__ = "0.1.0"
