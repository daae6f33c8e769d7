"""The viewer: the records of threads as their owner sees them, and what keeps them up to date.

Objects that pass through the gateway become sightings, which are written to the ledger behind the request. What changed
in it is published in the log of the owner's list.
"""
