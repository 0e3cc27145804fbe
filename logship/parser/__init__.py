"""What a line says: bytes in, a Record or the reason why not out."""
