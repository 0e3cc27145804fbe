"""What is safely done: spans in flight, watermarks, the checkpoint on disk."""
