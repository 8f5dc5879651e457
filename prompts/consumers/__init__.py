"""The WebSocket at `/v1/responses`: the same turns, events and errors as over HTTP, many on one connection.

consumer.py  channels' end: accept, receive, send, close          upgrade.py   who may open one
socket.py    one connection: its turns, its memory, its end       frames.py    what clients send, what they are sent
lanes.py     which turns run, and which wait                      sockets.py   all connections of a process
"""
