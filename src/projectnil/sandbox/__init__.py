"""Where guests run: processes outside the api, each a Wasmtime engine, and the pool that feeds them.

The api holds `pool.SandboxPool`. Everything that touches Wasmtime happens in the child processes (`process`):
they have no database credentials, and can be killed at any moment.
"""
