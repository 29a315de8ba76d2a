"""Places within a region, job titles within an occupation, and what jobs pay: asked of a language model, offline.

Belongs here: requests, answers and the verdict on them, and what the sampler needs of them. Does not belong here: the
drawing itself, which is `serving.particulars`.
"""
