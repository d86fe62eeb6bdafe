"""The worker's small web server: the page, the endpoint that lets a caller in, the way to signalling."""
