"""A few described voices whose answers become the behaviour of millions."""
