"""The process that `local` starts: a llama.cpp server on loopback that ends when its parent does. Nothing else.

It is run by its path and imports nothing of the project, so that it starts fast. Arguments: the weights' file, the
name to serve them under, tokens of context per slot, slots, and the most tokens of an answer. It prints its address.
"""

import os
import sys


def main(weights: str, name: str, context: str, slots: str, most: str) -> None:
    """Serve until standard input ends, which it does with the parent, however that ends."""
    import xllamacpp  # noqa: PLC0415  # an extra

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {name}  # else the path would be its name in every answer
    params.n_ctx = int(context) * int(slots)
    params.n_parallel = int(slots)
    params.n_predict = int(most)
    # One thread: more of them wait for each other in a loop, which was five to ten times slower on a machine that does
    # other work too.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.verbosity = 2  # warnings and errors: what is said of each request would fill the log
    params.ui = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.buffer.read()
    os._exit(0)  # a request in progress would keep it for as long as that takes


if __name__ == "__main__":
    main(*sys.argv[1:])
