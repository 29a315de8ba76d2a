"""The maps against public microdata."""
