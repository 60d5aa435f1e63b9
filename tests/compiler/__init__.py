"""The compiler on the real Node and asc."""
