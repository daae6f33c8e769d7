"""The cache behind the port: lifetimes, invalidation, the memory and Redis tiers, and the read-through."""
