"""Policies replayed under AC power flow, by PYPOWER."""
