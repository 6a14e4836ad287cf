"""The Django project around `schedules`: settings, embedded Redis, first start, processes."""
