"""The enrichment of names: which names language models are asked about, how, and what of the answers holds.

Drawing names, and the maps that they are drawn from, are not here.
"""
