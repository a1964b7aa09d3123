"""The logs of a platform's processes, read as one."""
