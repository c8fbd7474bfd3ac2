"""A reverse-proxy gateway that enforces OAuth2 in front of legacy APIs."""

__version__ = "0.1.0"
