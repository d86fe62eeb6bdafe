"""The engine as a service: sessions over WebSockets, seats, metrics. The step runs on a thread of its own."""
