"""The agreement between `schema` and `gateway`, without GraphQL: wire objects, keys, errors, ports and run events."""
