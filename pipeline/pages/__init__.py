"""Pages a person reads: templates and what is put into them. No figure is computed here that no table holds."""
