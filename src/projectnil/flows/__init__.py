"""The stories of SPEC, one file each. Only flows open transactions, and none is open while a guest or compiler runs."""
