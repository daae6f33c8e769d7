"""Long-lived connections: GraphQL over WebSocket and server-sent events, and fan-out of events to them."""
