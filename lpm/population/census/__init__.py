"""Survey and census files as downloaded, and the fitting problem they make."""
