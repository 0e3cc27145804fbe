"""Where lines come from: files followed, chunks of whole lines out."""
