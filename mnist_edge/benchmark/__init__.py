"""What exported files cost on this machine: time, memory, bytes, and how right they are.

All but the figure needs the runner alone.
"""
