"""What processes that meet strangers' code give up, for good: the mechanisms. Their users say what is left."""
