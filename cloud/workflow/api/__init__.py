"""What the engine serves itself: health and metrics."""
