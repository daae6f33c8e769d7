"""What things are: the public GraphQL schema, the upstream's objects, and the ports between them. No I/O here."""
