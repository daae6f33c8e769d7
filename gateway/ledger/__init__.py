"""The ledger: the memory of the gateway itself, such as the owner of each thread."""
