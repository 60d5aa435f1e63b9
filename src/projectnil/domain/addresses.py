"""Where a platform is, for the programs that call it."""

DEFAULT_URL = "http://127.0.0.1:8080"
URL_VARIABLE = "PROJECTNIL_URL"
