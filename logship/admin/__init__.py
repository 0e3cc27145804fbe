"""What a running daemon shows of itself: health, metrics, status and a page over HTTP; the live stream of decisions."""
