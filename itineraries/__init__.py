"""Travel itineraries: documents with waypoints."""
