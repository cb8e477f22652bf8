"""The forms in which people keep exchanges, one module each: a line or a row as exchanges, or why it is none.

``base`` is what they share, ``known`` lists them; ``chats`` brings what other
libraries keep of a message into the form of the chat API.
"""
