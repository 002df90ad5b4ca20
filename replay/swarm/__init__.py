"""The Locust side: options, the handshake between master and workers, shape and user.

Locust owns the command line, the web page, live statistics and the distribution over processes
and machines. The timetable is the engine's: Locust's users are only the sign that a worker works.
"""
