"""What exported files cost on this machine: time, memory, bytes, and how right they are. Needs the runner alone."""
