"""A dgpg domain: pumps meet a demand together."""
