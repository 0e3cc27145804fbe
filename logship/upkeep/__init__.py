"""What a person does with the state directory: move offsets, replay dead letters, see what a stopped daemon left."""
