"""The stages of the arrow as Dagster assets, a module per stage: thin shells over the pure code beside them.

Modules here do not use `from __future__ import annotations`: Dagster reads the annotations when it decorates.
"""

import warnings

import dagster as dg

# Backfill policies are marked beta; the pinned version is the one that was tried.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
