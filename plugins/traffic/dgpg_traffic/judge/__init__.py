"""Policies replayed in UXsim or SUMO, mesoscopic simulators; they are asked for when they are needed."""
