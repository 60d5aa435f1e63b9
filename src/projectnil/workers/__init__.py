"""The loops that run beside the api, and the one that is the compiler: each wakes, calls a flow, and sleeps again."""
