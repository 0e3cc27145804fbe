"""The embedded /api/event: answers as Plausible does and shows what arrived."""
