"""Policies replayed in UXsim, a mesoscopic simulator; it is imported when it is asked for."""
