from dataclasses import dataclass
@dataclass
class Sel: needed_dimensions: tuple
def select_fields(s,f,e): return Sel(tuple(d.id for d in s.dimensions))
class Batch:
    def __init__(self,**k): self.__dict__.update(k)
