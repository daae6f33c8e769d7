"""The ledger: the memory of the gateway itself, such as the owner of each thread.

Operations use `Ownership`, which `StoredOwnership` implements over a `LedgerLink` over a `LedgerStore`.
"""
