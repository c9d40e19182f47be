"""Drivers of a town choose among routes in SUMO, a day at a time: the domain `sumo`.

`pip install 'dgpg-plugin-traffic[sumo]'` brings the simulator.
"""
