"""A dgpg domain: clients send jobs to servers of a SimPy model."""
