"""The needs of a system service: a PID file, an ordinary user, a service manager, signals, process 1."""
