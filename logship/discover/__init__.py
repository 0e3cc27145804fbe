"""`logship init`: reads the web server's own configuration, and writes one for logship. Stands apart."""
