"""The pipeline's commands, a module each.

They are added to `personagen` through entry points (`pyproject.toml`), so that the serving command line never imports
the pipeline.
"""
