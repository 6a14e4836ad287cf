"""An app with jobs that leave a trace."""
