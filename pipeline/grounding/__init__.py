"""Personas against respondents of public surveys; no number of these comes back into catalogue, prompts or corpus."""
