"""A dgpg domain: clients send jobs to servers."""
