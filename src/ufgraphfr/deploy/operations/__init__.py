"""Setting up, starting, watching and ending the processes of a deployment."""
