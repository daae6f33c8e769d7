"""GraphQL over HTTP: what a request asks for, and what is answered."""
