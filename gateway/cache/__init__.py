"""The cache behind the port: what is kept, how long, for whom, and how it is found again."""
