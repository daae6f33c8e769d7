"""GraphQL execution: operations are compiled to plain calls, and whatever is unusual is handed to graphql-core."""
