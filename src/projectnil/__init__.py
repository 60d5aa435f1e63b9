"""projectnil: a self-hosted Function-as-a-Service."""

__version__ = "0.1.0"
