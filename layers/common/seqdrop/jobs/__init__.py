"""What the containers need."""
