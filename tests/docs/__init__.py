"""The documents, held to the platform: their commands are run, their tables compared with the code."""
