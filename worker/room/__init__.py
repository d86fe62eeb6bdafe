"""A room with an agent in it: who is there, who is listened to, and how long it lasts."""
