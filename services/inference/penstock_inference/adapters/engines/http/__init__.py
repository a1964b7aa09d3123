"""HTTP/1.1 to engines: as little as chat completions need, on llhttp's parser.

A general client costs a request more than everything else that this service does for it, and wakes a task for every
token; this one hands over what came since the last look.
"""
