"""Long-lived connections: GraphQL over WebSocket and server-sent events, and the fan-out of events to them."""
