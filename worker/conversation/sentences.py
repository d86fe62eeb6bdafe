"""What callers are told in text of what is in the way of their conversation."""

LOST = "The model cannot be reached. One moment, please: it is being tried again."
FULL = "All seats are taken. One moment, please: you are let in as soon as one is free."
BACK = "The model is back, and the conversation goes on."
NEW = "This is a new conversation: the model was started again, and remembers nothing of the one before."
OVER = "The model cannot be reached, and this call ends."
UNHEARD = "My voice cannot be heard in this room, because it takes no sound of mine. My words go on here."
HEARD = "My voice can be heard again."
