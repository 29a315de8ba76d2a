"""Pages a person reads: templates, and the data put into them. No figure is computed here that a table does not hold."""
