"""The copying of threads from one upstream to another, in an order that lets it break off at any time.

What becomes of a message is decided purely. The ledger knows of each thread whether its copy was begun or is done.
"""
