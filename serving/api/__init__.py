"""The HTTP API: personas, explanations, catalogue and maps of a snapshot, over ASGI. Needs the extra `serve`.

`app.create_app(snapshots)` is the application; `requests` reads what is asked for, `problems` tells what is wrong with
it, `openapi` describes both. Nothing here draws: that is `serving.sampler`.
"""
