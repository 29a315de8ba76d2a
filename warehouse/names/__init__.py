"""First names and surnames: derived public data, and what turns it into the two name files of a snapshot.

Nothing here draws a name; that is `serving.names`.
"""
