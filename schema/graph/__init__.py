"""GraphQL types and their resolvers: nodes, leaf types, inputs, payloads, events and the three root types."""
