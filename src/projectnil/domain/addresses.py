"""Where a platform is, for the programs that call it."""

from collections.abc import Mapping

DEFAULT_URL = "http://127.0.0.1:8080"
URL_VARIABLE = "PROJECTNIL_URL"


def url_of_environment(environment: Mapping[str, str]) -> str:
    """The one that the environment names, or else the one on this machine."""
    return environment.get(URL_VARIABLE) or DEFAULT_URL
