"""SQL and nothing else: one file per table, the queues, the migrations, the embedded server.

Every function takes its connection first. None opens a transaction: flows do.
"""
