"""A run of `opinion` whose panel was answered by a real server, and its observables."""
